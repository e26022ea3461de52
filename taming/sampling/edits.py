"""Edits of a token grid: which cells to forget, or to add, before the sampler fills them in."""

from numbers import Integral

import torch
from torch import Tensor
from torch.nn import functional

from ..errors import TokensError
from ..text import shorten
from .limits import check_cells
from .seeds import cell_ranks, check_seed

MAX_PATCH = 64  # cells
MAX_GROW_PX = 2**20  # a mask covers every picture long before
TOUCHED = 0.5 / 255  # what an 8-bit mask rounds to black is not masked


def forget_cells(mask: Tensor, shape: tuple[int, int, int], factor: int, grow_px: int = 0) -> Tensor:
    """Find the cells of a (B, h, w) grid that a mask touches, even with one pixel: (B, h, w) bool, True = forget.

    A mask of the picture's size from before it was center-cropped to whole tokens lies where it lay on the picture; one
    of any other size is stretched over it. No pixel gets lost on the way, however thin a line it draws.

    Args:
        mask: (B, H, W) or, for all items alike, (1, H, W); in [0, 1], masked wherever it is above half a gray level.
        factor: pixels per token side.
        grow_px: pixels of the picture that the mask is grown by on every side.

    Raises:
        TokensError: the mask is empty, not three-dimensional or has values that are NaN, there is another number of
            masks than of grids, or `grow_px` is no such number.
    """
    batch, height, width = shape
    if mask.dim() != 3 or not mask.numel():
        raise TokensError(f"a mask has shape (batch, height, width), none of them 0; this one has {tuple(mask.shape)}.")
    if mask.isnan().any():
        raise TokensError("the mask has values that are NaN, so nobody can tell what is masked. Replace them first.")
    if len(mask) not in (1, batch):
        raise TokensError(
            f"there are {len(mask)} masks for a batch of {batch}. Give one mask for all pictures, or one for each."
        )
    if not 0 <= grow_px <= MAX_GROW_PX:
        raise TokensError(f"a mask cannot grow by {shorten(grow_px)} px; use 0 to {MAX_GROW_PX}.")
    is_from_before_the_crop = (mask.shape[1] // factor, mask.shape[2] // factor) == (height, width)
    rows = _reach(mask.shape[1], height, factor, grow_px, is_from_before_the_crop)
    columns = _reach(mask.shape[2], width, factor, grow_px, is_from_before_the_crop)
    touched = rows @ (mask > TOUCHED).float() @ columns.T > 0  # (1 or B, h, w)
    return touched.expand(shape)


def choose_cells(
    shape: tuple[int, int, int], strength: float, seed: int = 0, among: Tensor | None = None, patch: int = 1
) -> Tensor:
    """Choose a random `strength` share, 0 to 1, of the cells of each item of a (B, h, w) grid; True = forget.

    Under one seed a higher strength forgets the same cells and more.

    Args:
        among: (B, h, w) bool, limits the choice: the share is then one of its cells.
        patch: cells across a patch of those that are chosen together; 1 chooses each cell by itself.

    Raises:
        TokensError: a strength or a patch that is none.
    """
    if not 0.0 <= strength <= 1.0:
        raise TokensError(f"strength is {shorten(strength)}; it is a share of the cells, from 0 (none) to 1 (all).")
    if not (isinstance(patch, Integral) and 1 <= patch <= MAX_PATCH):
        raise TokensError(f"patch is {shorten(patch)}; it is a number of cells, from 1 (single ones) to {MAX_PATCH}.")
    seed = check_seed(seed)
    batch, height, width = shape
    among = torch.ones(1, dtype=torch.bool) if among is None else among.cpu()
    chosen = torch.zeros(shape, dtype=torch.bool)
    for item, limits in enumerate(among.expand(shape)):  # one by one: patches take far more memory than what is chosen
        chosen[item] = _choose_in_one(_patch_noise((height, width), seed, item, patch), strength, limits)
    return chosen


def _choose_in_one(order: Tensor, strength: float, among: Tensor) -> Tensor:
    """The `strength` share of the cells `among`, (h, w) bool, that come first in an `order`, (h, w)."""
    ranks = order.masked_fill(~among, torch.iinfo(order.dtype).max).flatten().argsort(stable=True).argsort()
    forget = ranks < (strength * among.sum().double()).round()
    return forget.view_as(order)


def _patch_noise(shape: tuple[int, int], seed: int, item: int, patch: int) -> Tensor:
    """Random whole numbers, (h, w), alike over about `patch` cells: a random order of cells, smoothed by a tent.

    Sums of whole numbers are the same on every machine. The order reaches beyond the grid, so that its edges are no
    rarer in a patch than its middle.
    """
    height, width = shape
    border = 2 * (patch - 1)
    noise = cell_ranks((height + border) * (width + border), seed, item).view(height + border, width + border)
    for _ in range(2):  # a box twice is a tent
        noise = noise.unfold(0, patch, 1).sum(-1).unfold(1, patch, 1).sum(-1)
    return noise


def pad_cells(indices: Tensor, known: Tensor, left: int, top: int, right: int, bottom: int) -> tuple[Tensor, Tensor]:
    """Add so many unknown cells on each side of a grid; `indices` (B, h, w) and `known` (B, h, w) bool, both larger.

    Raises: TokensError for numbers below 0, and where there would be too many cells.
    """
    sides = {"left": left, "top": top, "right": right, "bottom": bottom}
    for name, cells in sides.items():
        if cells < 0:
            raise TokensError(f"{name} is {shorten(cells)}; padding adds cells, so it must be 0 or more.")
    batch, height, width = indices.shape
    check_cells(batch, height + top + bottom, width + left + right)
    padding = (left, right, top, bottom)
    return functional.pad(indices, padding), functional.pad(known, padding)


def _reach(length: int, cells: int, factor: int, grow_px: int, is_from_before_the_crop: bool) -> Tensor:
    """Which of `length` mask pixels along an axis, grown, overlap which cell: (cells, length), 1.0 or 0.0."""
    size_px = cells * factor
    pixel, cell = torch.arange(length), torch.arange(cells)[:, None]
    # Everything is counted in parts of 1 / length of a picture's pixel, so that it is exact.
    if is_from_before_the_crop:
        start, end = [(edge - (length - size_px) // 2) * length for edge in (pixel, pixel + 1)]
    else:
        start, end = pixel * size_px, (pixel + 1) * size_px
    first, last = (cell * factor - grow_px) * length, ((cell + 1) * factor + grow_px) * length
    return ((start < last) & (end > first)).float()
