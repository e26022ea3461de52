"""Training a class-conditional transformer on the tokens of a finished tokenizer."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..checkpoints import codebook_fingerprint, load_vqgan, save_checkpoint
from ..conditioning import ConditionConfig
from ..models.transformer import Transformer, TransformerConfig
from ..models.vqgan import VQModel
from .batches import Scenes, step_rng, to_pixels
from .loop import Figures
from .recipe import Recipe, build


class TransformerTask:
    """Next-token prediction over the grid after one class token (Esser et al. 2021, eq. 9).

    Loss key `null_rate` is the share of sequences whose class is replaced by the null label, so that the model can
    be guided.
    """

    def __init__(self, recipe: Recipe, scenes: Scenes, held_out: Scenes, class_names: tuple[str, ...]) -> None:
        self.recipe = recipe
        self.first_stage = load_vqgan(recipe.first_stage)
        self.tokens, self.labels = tokenize(self.first_stage, scenes)
        self.held_tokens, self.held_labels = tokenize(self.first_stage, held_out)
        condition = ConditionConfig(
            kind="class", num_classes=len(class_names), class_names=class_names, null_label=len(class_names)
        )
        config = build(TransformerConfig, {**recipe.model, "condition": condition}, "model")
        self.model = Transformer(config)
        self.model.init_weights(torch.Generator().manual_seed(recipe.seed))
        self.modules: dict[str, nn.Module] = {"transformer": self.model.train()}
        self.optimizers = {"transformer": adamw(self.model, recipe)}

    def step(self, step: int) -> Figures:
        rng = step_rng(self.recipe.seed, step)
        torch.manual_seed(int(rng.integers(2**62)))  # dropout has no generator argument
        rows = rng.integers(len(self.tokens), size=self.recipe.phase_at(step).batch_size)
        labels = self.labels[rows].clone()
        null = torch.from_numpy(rng.random(len(rows)) < self.recipe.loss["null_rate"])
        labels[null] = self.model.config.condition.null_label
        loss = self.loss(labels, self.tokens[rows])
        optimizer = self.optimizers["transformer"]
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.optimizer.clip_norm)
        optimizer.step()
        return {"loss": loss.item()}

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
        losses = [self.loss(labels, tokens) * len(labels) for labels, tokens in parts]
        self.model.train()
        return {"held_out_loss": (torch.stack(losses).sum() / len(self.held_labels)).item()}

    def export(self, path: Path) -> None:
        first_stage = Path(self.recipe.first_stage)
        save_checkpoint(
            self.model,
            path,
            first_stage={
                "file": first_stage.name,
                "codebook": codebook_fingerprint(self.first_stage.state_dict()),
            },
        )


@torch.no_grad()
def tokenize(vqgan: VQModel, scenes: Scenes) -> tuple[Tensor, Tensor]:
    """Tokens (N, L) and labels (N,) of all scenes."""
    starts = range(0, len(scenes.images), 32)
    batches = [vqgan.encode(to_pixels(scenes.images[i : i + 32])).indices.flatten(1) for i in starts]
    return torch.cat(batches), torch.from_numpy(scenes.labels.astype(np.int64))


def adamw(model: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """Weight decay on the weights of Linear layers only, as the reference does."""
    decayed = [m.weight for m in model.modules() if isinstance(m, nn.Linear)]
    chosen = {id(p) for p in decayed}
    others = [p for p in model.parameters() if id(p) not in chosen]
    settings = recipe.optimizer
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, settings.lr, betas=settings.betas, fused=True)
