"""Training a transformer on the tokens of a finished tokenizer, class-conditional or unconditional."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..checkpoints import load_vqgan, save_checkpoint, weights_file
from ..conditioning import ConditionConfig
from ..configs import config_from_dict
from ..data import Dataset
from ..errors import ConfigError
from ..models.transformer import Transformer, TransformerConfig
from ..models.vqgan import VQModel
from .datasets import Data
from .loop import Batch, Figures, Turn
from .losses import corrupt_tokens, drop_condition, next_token_loss
from .recipe import Recipe
from .start import start_transformer_from
from .token_cache import TokenSet, cached_tokens

EVALUATION_BATCH = 20


@dataclass(frozen=True)
class TransformerLoss:
    """The loss section of a transformer's recipe."""

    null_rate: float = 0.1  # share of sequences told the null label instead of their class, for guidance
    pkeep: float = 1.0  # share of the tokens that are read as they are; the others are replaced at random
    label_smoothing: float = 0.0


class TransformerTask:
    """Next-token prediction over the grid after one token of condition (Esser et al. 2021, eq. 9)."""

    main_figure = "loss"

    def __init__(self, recipe: Recipe, data: Data, cache: Path, device: torch.device) -> None:
        self.recipe = recipe
        self.settings = config_from_dict(TransformerLoss, recipe.loss, "loss")
        first_stage = load_vqgan(recipe.first_stage).to(device)
        tokenizer_id = file_hash(weights_file(recipe.first_stage))
        self.training = self._tokenize(first_stage, tokenizer_id, data.training, cache, flips=recipe.data.flip)
        self.held_out = self._tokenize(first_stage, tokenizer_id, data.held_out, cache, flips=False)
        self.condition = condition_config(data.training.class_names)
        config = config_from_dict(TransformerConfig, recipe.model, "model")
        if config.grid != self.training.grid or config.vocab_size < first_stage.config.num_tokens:
            raise ConfigError(
                f"model: it draws {config.grid[0]} x {config.grid[1]} of {config.vocab_size} tokens, and the pictures "
                f"are {self.training.grid[0]} x {self.training.grid[1]} of {first_stage.config.num_tokens}. Set "
                "model.grid and model.vocab_size, or data.size_px."
            )
        self.model = Transformer(replace(config, condition=self.condition))
        self.model.init_weights(torch.Generator().manual_seed(recipe.seed))
        if recipe.init_from:
            start_transformer_from(self.model, recipe.init_from)
        self.modules: dict[str, nn.Module] = {"transformer": self.model.train()}
        self.turns = [Turn("transformer", self.model, adamw(self.model, recipe), self.turn_loss)]

    def _tokenize(self, vqgan: VQModel, tokenizer_id: str, pictures: Dataset, cache: Path, flips: bool) -> TokenSet:
        device = vqgan.decoder.conv_out.weight.device
        return cached_tokens(
            pictures,
            lambda pixels: vqgan.encode(pixels.to(device)).indices.cpu(),
            tokenizer_id,
            self.recipe.data.size_px,
            cache,
            flips=flips,
        )

    def batch(self, step: int, rng: np.random.Generator) -> Batch:
        """The condition's token, some of them the null label; the tokens; and what of them is read."""
        rows = rng.integers(len(self.training.tokens), size=self.recipe.phase_at(step).batch_size)
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        prefix, tokens = self._rows(self.training, rows)
        if self.condition.null_label is not None:
            null = torch.tensor([self.condition.null_label])
            prefix = drop_condition(prefix, null, self.settings.null_rate, generator)
        read = corrupt_tokens(tokens, self.settings.pkeep, self.model.config.vocab_size, generator)
        return {"prefix": prefix, "tokens": tokens, "read": read}

    def turn_loss(self, batch: Batch, step: int) -> tuple[Tensor, Figures]:
        loss = next_token_loss(
            self.model,
            batch["prefix"],
            batch["tokens"],
            read=batch["read"],
            label_smoothing=self.settings.label_smoothing,
        )
        return loss, {"loss": loss.item()}

    def _rows(self, tokens: TokenSet, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Prefix (B, 1) and tokens (B, L) of some rows."""
        if self.condition.kind == "class":
            prefix = torch.from_numpy(tokens.labels[rows])
        else:
            prefix = torch.full((len(rows),), self.condition.sos_token)
        return prefix.unsqueeze(1), torch.from_numpy(tokens.tokens[rows].astype(np.int64))

    @torch.no_grad()
    def evaluate(self) -> Figures:
        """Loss on the held-out pictures."""
        self.model.eval()
        device, total, count = self.model.pos_emb.device, 0.0, len(self.held_out.tokens)
        for start in range(0, count, EVALUATION_BATCH):
            rows = np.arange(start, min(start + EVALUATION_BATCH, count))
            prefix, tokens = self._rows(self.held_out, rows)
            total += len(rows) * next_token_loss(self.model, prefix.to(device), tokens.to(device)).item()
        self.model.train()
        return {"held_out_loss": total / count}

    def export(self, path: Path) -> None:
        """Save the transformer, and its tokenizer beside it, where a transformer's file looks for one."""
        source = weights_file(self.recipe.first_stage)
        name = source.name if source.name != path.name else f"first_stage{source.suffix}"
        first_stage = path.with_name(name)
        if first_stage.resolve() != source.resolve():
            shutil.copyfile(source, first_stage)
        dtype = getattr(torch, self.recipe.export_dtype)
        save_checkpoint(self.model, path, dtype=dtype, first_stage=first_stage)


def condition_config(class_names: tuple[str, ...]) -> ConditionConfig:
    """What a transformer is told of pictures of these classes; nothing where there are none."""
    if not class_names:
        return ConditionConfig()
    count = len(class_names)
    return ConditionConfig(kind="class", num_classes=count, class_names=class_names, null_label=count)


def file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def adamw(model: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """Weight decay on the weights of Linear layers only, as the reference does."""
    decayed = [m.weight for m in model.modules() if isinstance(m, nn.Linear)]
    chosen = {id(p) for p in decayed}
    others = [p for p in model.parameters() if id(p) not in chosen]
    settings = recipe.optimizer
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, settings.lr, betas=settings.betas, fused=True)
