"""Running averages of weights, which draw and reconstruct better than the last ones (Polyak, Juditsky 1992)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Averages:
    """The averages of a module's trained parameters; a codebook that follows averages of its own is left alone."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = module
        self.decay = decay
        self.values = {name: parameter.detach().clone() for name, parameter in self._trained()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after step number `step`; the first steps count more, or the start would last."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, parameter in self._trained():
            self.values[name].lerp_(parameter, 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Let the module have the averages for a while."""
        own = {name: parameter.detach().clone() for name, parameter in self._trained()}
        self._put(self.values)
        try:
            yield
        finally:
            self._put(own)

    @torch.no_grad()
    def _put(self, values: dict[str, Tensor]) -> None:
        for name, parameter in self._trained():
            parameter.copy_(values[name])

    def _trained(self) -> Iterator[tuple[str, nn.Parameter]]:
        return ((name, value) for name, value in self.module.named_parameters() if value.requires_grad)

    def state_dict(self) -> dict[str, Tensor]:
        return self.values

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        for name, value in state.items():
            self.values[name].copy_(value)
