"""Gradient checkpointing: activations computed again when gradients need them, instead of kept (arXiv:1604.06174)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


class GradientCheckpointing(nn.Module):
    """A module that can run its parts so that they keep no more than their inputs.

    It does so in training mode and where gradients are wanted, nowhere else. What is computed again is the same, and
    draws the same dropout; so a part must have no state of its own that a forward pass moves.
    """

    gradient_checkpointing = False

    def run(self, part: Callable[..., Tensor], *inputs: object) -> Tensor:
        """`part` of `inputs`."""
        if self.gradient_checkpointing and self.training and torch.is_grad_enabled():
            return checkpoint(part, *inputs, use_reentrant=False)
        return part(*inputs)


def set_gradient_checkpointing(module: nn.Module, on: bool) -> None:
    """Switch it in `module` and everything inside that can do it."""
    for part in module.modules():
        if isinstance(part, GradientCheckpointing):
            part.gradient_checkpointing = on
