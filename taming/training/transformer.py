"""Training a class-conditional transformer on the tokens of a finished tokenizer."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..checkpoints import load_vqgan, save_checkpoint, weights_file
from ..conditioning import ConditionConfig
from ..configs import config_from_dict
from ..models.transformer import Transformer, TransformerConfig
from ..models.vqgan import VQModel
from .batches import Scenes, to_pixels
from .loop import Batch, Figures, Turn
from .recipe import Recipe


@dataclass(frozen=True)
class LossSettings:
    """The loss section of a transformer's recipe."""

    null_rate: float  # share of sequences told the null label instead of their class, so that the model can be guided


class TransformerTask:
    """Next-token prediction over the grid after one class token (Esser et al. 2021, eq. 9)."""

    main_figure = "loss"

    def __init__(self, recipe: Recipe, scenes: Scenes, held_out: Scenes, class_names: tuple[str, ...]) -> None:
        self.recipe = recipe
        self.settings = config_from_dict(LossSettings, recipe.loss, "loss")
        self.first_stage = load_vqgan(recipe.first_stage)
        self.tokens, self.labels = tokenize(self.first_stage, scenes)
        self.held_tokens, self.held_labels = tokenize(self.first_stage, held_out)
        self.null_label = len(class_names)
        condition = ConditionConfig(
            kind="class", num_classes=len(class_names), class_names=class_names, null_label=self.null_label
        )
        config = replace(config_from_dict(TransformerConfig, recipe.model, "model"), condition=condition)
        self.model = Transformer(config)
        self.model.init_weights(torch.Generator().manual_seed(recipe.seed))
        self.modules: dict[str, nn.Module] = {"transformer": self.model.train()}
        self.turns = [Turn("transformer", self.model, adamw(self.model, recipe), self.turn_loss)]

    def batch(self, step: int, rng: np.random.Generator) -> Batch:
        """Tokens and labels, some of them replaced by the null label."""
        rows = rng.integers(len(self.tokens), size=self.recipe.phase_at(step).batch_size)
        labels = self.labels[rows].clone()
        null = torch.from_numpy(rng.random(len(rows)) < self.settings.null_rate)
        labels[null] = self.null_label
        return {"labels": labels, "tokens": self.tokens[rows]}

    def turn_loss(self, batch: Batch, step: int) -> tuple[Tensor, Figures]:
        loss = self.loss(batch["labels"], batch["tokens"])
        return loss, {"loss": loss.item()}

    def loss(self, labels: Tensor, tokens: Tensor) -> Tensor:
        """Cross-entropy of `tokens` (B, L) after their class `labels` (B,), in nats per token."""
        sequence = torch.cat([labels.unsqueeze(1), tokens], dim=1)  # (B, 1 + L)
        logits = self.model(sequence[:, :-1])  # (B, L, V)
        return F.cross_entropy(logits.flatten(0, 1), tokens.flatten())

    @torch.no_grad()
    def evaluate(self) -> Figures:
        """Loss on the held-out scenes."""
        self.model.eval()
        parts = zip(self.held_labels.split(20), self.held_tokens.split(20), strict=True)
        device = self.model.pos_emb.device
        losses = [self.loss(labels.to(device), tokens.to(device)) * len(labels) for labels, tokens in parts]
        self.model.train()
        return {"held_out_loss": (torch.stack(losses).sum() / len(self.held_labels)).item()}

    def export(self, path: Path) -> None:
        """Save the transformer, and its tokenizer beside it, where a transformer's file looks for one."""
        source = weights_file(self.recipe.first_stage)
        first_stage = path.with_name(source.name)
        if first_stage.resolve() != source.resolve():
            shutil.copyfile(source, first_stage)
        dtype = getattr(torch, self.recipe.export_dtype)
        save_checkpoint(self.model, path, dtype=dtype, first_stage=first_stage)


@torch.no_grad()
def tokenize(vqgan: VQModel, scenes: Scenes) -> tuple[Tensor, Tensor]:
    """Tokens (N, L) and labels (N,) of all scenes."""
    starts = range(0, len(scenes.images), 32)
    batches = [vqgan.encode(to_pixels(scenes.images[i : i + 32])).indices.flatten(1) for i in starts]
    return torch.cat(batches), torch.from_numpy(scenes.labels)


def adamw(model: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """Weight decay on the weights of Linear layers only, as the reference does."""
    decayed = [m.weight for m in model.modules() if isinstance(m, nn.Linear)]
    chosen = {id(p) for p in decayed}
    others = [p for p in model.parameters() if id(p) not in chosen]
    settings = recipe.optimizer
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, settings.lr, betas=settings.betas, fused=True)
