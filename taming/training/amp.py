"""The precision of a run's arithmetic: autocast, and for float16 a scale that keeps small gradients above zero."""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ..errors import ConfigError, TrainingError

PrecisionKind = Literal["float32", "bfloat16", "float16"]
MAX_SKIPPED = 20  # steps in a row; from 65,536 the scale is then below 1, so it was not the scale


def autocast(kind: PrecisionKind, device: torch.device) -> AbstractContextManager[Any]:
    """Where layers compute in `kind`; weights, losses and gradients of weights stay in float32."""
    return nullcontext() if kind == "float32" else torch.autocast(device.type, getattr(torch, kind))


class ScaledSteps:
    """An optimizer's steps by gradients of a loss that is multiplied by a scale in float16, and else as it is.

    The scale (Micikevicius et al. 2018, arXiv:1710.03740, section 3.2) is found by trial: where it makes gradients
    infinite, the step is skipped and the scale halved; every 2,000 steps it is doubled. It is only in the gradients of
    the backward pass. What a loss takes from `torch.autograd.grad` on its way, such as the adaptive weight of the
    discriminator, is of the loss without it.
    """

    def __init__(self, kind: PrecisionKind, device: torch.device) -> None:
        self.scaler = torch.amp.GradScaler(device.type, enabled=kind == "float16")
        self.skipped = 0  # steps of the run
        self.skipped_in_a_row = 0

    def backward(self, loss: Tensor) -> None:
        self.scaler.scale(loss).backward()

    def take(self, optimizer: torch.optim.Optimizer, module: nn.Module, clip_norm: float) -> bool:
        """Move the weights by the gradients of `module`, clipped unless `clip_norm` is 0; whether they have moved.

        Raises: TrainingError after too many skipped steps in a row.
        """
        scale = self.scaler.get_scale()
        self.scaler.unscale_(optimizer)
        if clip_norm:
            nn.utils.clip_grad_norm_(module.parameters(), clip_norm)
        self.scaler.step(optimizer)
        self.scaler.update()
        if self.scaler.get_scale() >= scale:
            self.skipped_in_a_row = 0
            return True
        self.skipped += 1
        self.skipped_in_a_row += 1
        if self.skipped_in_a_row >= MAX_SKIPPED:
            raise TrainingError(
                f"The gradients of {MAX_SKIPPED} steps in a row were infinite in float16, at any scale. Train in "
                "bfloat16 or float32 (precision), or halve optimizer.lr."
            )
        return False

    def state_dict(self) -> dict[str, Any]:
        counts = {"skipped": self.skipped, "skipped_in_a_row": self.skipped_in_a_row}
        return {"scaler": self.scaler.state_dict(), **counts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(state["scaler"])
        self.skipped, self.skipped_in_a_row = state["skipped"], state["skipped_in_a_row"]


def check_precision(kind: PrecisionKind, device: torch.device) -> None:
    """Take a step of one weight.

    Raises: ConfigError if this torch cannot compute in `kind` on `device`.
    """
    if kind == "float32":
        return
    weight = nn.Linear(1, 1, bias=False, device=device)
    optimizer, steps = torch.optim.SGD(weight.parameters(), 0.1), ScaledSteps(kind, device)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # torch only warns, and goes on in float32
            with autocast(kind, device):
                out = weight(torch.ones(1, 1, device=device))
            steps.backward(out.float().sum())
            steps.take(optimizer, weight, clip_norm=0)
    except (RuntimeError, UserWarning) as error:
        raise ConfigError(
            f"precision: this torch ({torch.__version__}) cannot train in {kind} on {device.type}: {error} "
            f"Set precision to float32{' or bfloat16' * (kind == 'float16')}."
        ) from error
