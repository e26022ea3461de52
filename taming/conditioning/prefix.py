"""What a transformer is told, as the tokens that it reads before the cells of a window."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import ConditionError
from .boxes import Box, BoxFormat, encode_boxes
from .window import Window


class Prefix(Protocol):
    """The condition of a batch, to be read off for any window of the grid."""

    @property
    def batch_size(self) -> int: ...

    def at(self, window: Window) -> Tensor:
        """Tokens before the cells of `window`, (B, S) int64.

        Raises: ConditionError if the condition does not fit the window's grid.
        """
        ...

    def expand(self, batch_size: int) -> Prefix:
        """The same for a batch: one item is repeated."""
        ...

    def some(self, items: slice) -> Prefix:
        """The same for some items of the batch."""
        ...

    def padded(self, bottom: int, right: int) -> Prefix:
        """The same for a grid that was extended by so many cells."""
        ...


@dataclass(frozen=True)
class FixedPrefix:
    """The same tokens wherever the window is: a start token, a class, a prompt."""

    tokens: Tensor  # (B, S) int64

    @property
    def batch_size(self) -> int:
        return len(self.tokens)

    def at(self, window: Window) -> Tensor:
        return self.tokens

    def expand(self, batch_size: int) -> FixedPrefix:
        """The same for a batch: its items in turn, over and over."""
        return FixedPrefix(self.tokens[torch.arange(batch_size) % self.batch_size])

    def some(self, items: slice) -> FixedPrefix:
        return FixedPrefix(self.tokens[items])

    def padded(self, bottom: int, right: int) -> FixedPrefix:
        return self


@dataclass(frozen=True)
class MapPrefix:
    """Tokens of a map that lies under the grid, cropped along with the window: segmentation, depth, a picture."""

    tokens: Tensor  # (B, h, w) int64
    is_scaled: bool = False  # encoded at a size of its own (`downsample_cond_size`): it then goes with whole grids only

    @property
    def batch_size(self) -> int:
        return len(self.tokens)

    def at(self, window: Window) -> Tensor:
        height, width = self.tokens.shape[1:]
        if self.is_scaled:
            if not window.is_whole:
                raise ConditionError(
                    "This transformer reads its map at a size of its own, so it draws pictures of one size only, "
                    f"{window.height} x {window.width} cells; the grid has {window.grid[0]} x {window.grid[1]}."
                )
            return self.tokens.flatten(1)  # (B, h * w)
        if (height, width) != window.grid:
            raise ConditionError(
                f"The condition is a map of {height} x {width} cells and the grid has {window.grid[0]} x "
                f"{window.grid[1]} (height x width). Give a map of the size of the picture."
            )
        rows = slice(window.top, window.top + window.height)
        columns = slice(window.left, window.left + window.width)
        return self.tokens[:, rows, columns].flatten(1)  # (B, height * width)

    def expand(self, batch_size: int) -> MapPrefix:
        return replace(self, tokens=self.tokens.expand(batch_size, -1, -1))

    def some(self, items: slice) -> MapPrefix:
        return replace(self, tokens=self.tokens[items])

    def padded(self, bottom: int, right: int) -> MapPrefix:
        height, width = self.tokens.shape[1:]
        rows = torch.arange(height + bottom).clamp(max=height - 1)
        columns = torch.arange(width + right).clamp(max=width - 1)
        return replace(self, tokens=self.tokens[:, rows][:, :, columns])  # the last row and column go on


@dataclass(frozen=True)
class CoordinatePrefix:
    """Where in the picture each cell of the window lies, from the grid alone."""

    batch_size: int
    num_codes: int
    down_factor: int  # pixels per token side
    vocab_size: int  # of the transformer

    def at(self, window: Window) -> Tensor:
        tokens = grid_coordinates(*window.grid, self.num_codes, self.down_factor, self.vocab_size)
        return MapPrefix(tokens).expand(self.batch_size).at(window)

    def expand(self, batch_size: int) -> CoordinatePrefix:
        return replace(self, batch_size=batch_size)

    def some(self, items: slice) -> CoordinatePrefix:
        return replace(self, batch_size=len(range(self.batch_size)[items]))

    def padded(self, bottom: int, right: int) -> CoordinatePrefix:
        return self


@dataclass(frozen=True)
class BoxPrefix:
    """Objects and where they are, with the part of the picture that the window shows."""

    format: BoxFormat
    layouts: tuple[tuple[Box, ...], ...]  # one per item

    @property
    def batch_size(self) -> int:
        return len(self.layouts)

    def at(self, window: Window) -> Tensor:
        height, width = window.grid
        crop = (window.left / width, window.top / height, window.width / width, window.height / height)
        return torch.tensor([encode_boxes(self.format, layout, crop) for layout in self.layouts])

    def expand(self, batch_size: int) -> BoxPrefix:
        return replace(self, layouts=self.layouts * batch_size)

    def some(self, items: slice) -> BoxPrefix:
        return replace(self, layouts=self.layouts[items])

    def padded(self, bottom: int, right: int) -> BoxPrefix:
        return self


@functools.lru_cache(maxsize=2)  # it is asked for whenever the window moves over one grid
def grid_coordinates(height: int, width: int, num_codes: int, down_factor: int, vocab_size: int) -> Tensor:
    """Tokens (1, h, w) of the reference's coordinate map: 0 to almost 1 in raster order (`taming/data/faceshq.py`)."""
    count = height * width * down_factor**2
    rows = []
    for row in range(height):  # all pixels of a large picture would take gigabytes
        first = row * width * down_factor**2
        places = torch.arange(first, first + width * down_factor**2, dtype=torch.float64)
        pixels = (places / count).float().view(1, down_factor, width * down_factor)
        rows.append(coordinate_tokens(pixels, num_codes, down_factor, vocab_size))
    return torch.cat(rows, dim=1)


def coordinate_tokens(coordinates: Tensor, num_codes: int, down_factor: int, vocab_size: int) -> Tensor:
    """Tokens (B, h, w) of coordinate maps (B, H, W) in [0, 1] (upstream `CoordStage`).

    At the end of very large pictures a coordinate rounds up to `num_codes`, one token more. Where the transformer's
    vocabulary ends before it, which stops upstream, the last token stands in.

    Raises: ConditionError for another shape, or coordinates that are none.
    """
    if coordinates.dim() != 3 or min(coordinates.shape[1:]) < down_factor or not coordinates.is_floating_point():
        raise ConditionError(
            f"Coordinates have shape (B, H, W), in [0, 1], with {down_factor} px or more on each side; found "
            f"{tuple(coordinates.shape)} of {coordinates.dtype}."
        )
    if not coordinates.isfinite().all():
        raise ConditionError("The coordinates have values that are NaN or infinite. Replace them first.")
    mean = F.interpolate(coordinates.unsqueeze(1), scale_factor=1 / down_factor, mode="area").squeeze(1)
    return (num_codes * mean.clamp(0.0, 1.0)).round().long().clamp(max=vocab_size - 1)
