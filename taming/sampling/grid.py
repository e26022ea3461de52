"""The token grids of one sampling call while they are filled."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..conditioning import Window


class TokenGrid:
    """Tokens of a batch, and which of them are known: from the beginning, or sampled since.

    Args:
        indices, known: the grids, (B, h, w).
        order: the cells in the order that the model reads them; empty for row by row.
        on_step: called after each `write` with the number of cells written, the tokens and what is known, flat.
    """

    def __init__(
        self,
        indices: Tensor,
        known: Tensor,
        order: Sequence[int],
        on_step: Callable[[int, Tensor, Tensor], None],
    ) -> None:
        batch, height, width = indices.shape
        self.shape = batch, height, width
        self.indices, self.known = indices.flatten(1).clone(), known.flatten(1).clone()  # (B, h * w)
        self._order = torch.tensor(order, device=indices.device) if order else None
        self.cells = order or range(height * width)  # in the order that the model reads them
        self._known_somewhere = self.known.any(0).tolist()
        self._on_step = on_step
        self._num_written = 0

    @property
    def window(self) -> Window:
        """All of the grid, as the window of a model of its size."""
        size = self.shape[1:]
        return Window(0, 0, *size, size)

    def positions(self, wanted: bytes) -> list[int]:
        """The places in reading order of the cells that are `wanted`, a byte for each."""
        return [position for position, cell in enumerate(self.cells) if wanted[cell]]

    def read(self, start: int, stop: int) -> Tensor:
        """The tokens at places `start` to `stop` in reading order, (B, stop - start)."""
        return self.indices[:, slice(start, stop) if self._order is None else self._order[start:stop]]

    def write(self, cells: Sequence[int], sampled: Tensor) -> None:
        """Write `sampled`, (B, len(cells)), into `cells` wherever they are not known."""
        # A list of cells would have to be copied to the device; a slice needs nothing.
        device = self.indices.device
        where = slice(cells[0], cells[0] + 1) if len(cells) == 1 else torch.tensor(cells, device=device)
        if any(self._known_somewhere[cell] for cell in cells):
            sampled = torch.where(self.known[:, where], self.indices[:, where], sampled)
        self.indices[:, where] = sampled
        self.known[:, where] = True
        self._num_written += len(cells)
        self._on_step(self._num_written, self.indices, self.known)
