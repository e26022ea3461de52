"""The optimizer of every task: AdamW, what its weight decay is for, and its learning rate."""

from __future__ import annotations

import torch
from torch import nn

from .recipe import Optimizer
from .schedules import learning_rate


def adamw(module: nn.Module, settings: Optimizer) -> torch.optim.AdamW:
    """AdamW over what is trained of `module`.

    Weight decay is for the weights of Linear and Conv2d layers, as in the reference's transformer: norms, biases,
    embeddings and codes have a scale of their own to find.
    """
    trained = [p for p in module.parameters() if p.requires_grad]
    options = {"lr": settings.lr, "betas": settings.betas, "fused": True}
    if not settings.weight_decay:  # one group, as VQGANs have always had: a run's state goes by groups
        return torch.optim.AdamW(trained, weight_decay=0.0, **options)
    layers = [part for part in module.modules() if isinstance(part, nn.Linear | nn.Conv2d)]
    decayed = [layer.weight for layer in layers if layer.weight.requires_grad]
    chosen = {id(p) for p in decayed}
    others = [p for p in trained if id(p) not in chosen]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, **options)


def rate_at(settings: Optimizer, step: int, num_steps: int) -> float:
    """The learning rate of `step` in a run of `num_steps` by the optimizer section of a recipe."""
    return learning_rate(
        step,
        num_steps,
        peak=settings.lr,
        final=settings.final_lr,
        warmup_steps=settings.warmup_steps,
        kind=settings.schedule,
    )
