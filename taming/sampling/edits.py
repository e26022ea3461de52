"""Edits of a token grid: which cells to forget before the sampler fills them in again."""

from torch import Tensor

from ..errors import TokensError
from .seeds import cell_ranks


def choose_cells(shape: tuple[int, int, int], strength: float, seed: int = 0) -> Tensor:
    """Choose a random `strength` share, 0 to 1, of the cells of each item of a (B, h, w) grid; True = forget.

    Under one seed a higher strength forgets the same cells and more.
    """
    if not 0.0 <= strength <= 1.0:
        raise TokensError(f"strength is {strength}; it is a share of the cells, from 0 (none) to 1 (all).")
    batch, height, width = shape
    forget = cell_ranks(batch, height * width, seed) < round(strength * height * width)
    return forget.view(batch, height, width)
