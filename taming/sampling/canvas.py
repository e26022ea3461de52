"""The grids of one sampling call while they are drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


class Canvas:
    """Tokens, (B, h * w), and which of them are there: known from the beginning, or drawn since.

    Args:
        indices, known: the grids, (B, h, w).
        report: told how many cells are drawn, the tokens and what is there, after each `put`.
    """

    def __init__(self, indices: Tensor, known: Tensor, report: Callable[[int, Tensor, Tensor], None]) -> None:
        self.tokens, self.there = indices.flatten(1).clone(), known.flatten(1).clone()
        self._known_somewhere = self.there.any(0).tolist()
        self._report = report
        self._done = 0

    def put(self, cells: Sequence[int], drawn: Tensor) -> None:
        """Put `drawn`, (B, len(cells)), into `cells` wherever they are not known."""
        # A list of cells would have to be copied to the device; a slice needs nothing.
        device = self.tokens.device
        where = slice(cells[0], cells[0] + 1) if len(cells) == 1 else torch.tensor(cells, device=device)
        is_mixed = any(self._known_somewhere[cell] for cell in cells)
        self.tokens[:, where] = torch.where(self.there[:, where], self.tokens[:, where], drawn) if is_mixed else drawn
        self.there[:, where] = True
        self._done += len(cells)
        self._report(self._done, self.tokens, self.there)
