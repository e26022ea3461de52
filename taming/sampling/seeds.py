"""Random numbers that depend on the seed, the item and the cell only, never on batch size, schedule or device."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import SupportsIndex

import torch
from torch import Tensor

from ..errors import ConfigError
from ..text import shorten

_MASK_64 = 2**64 - 1
_CHOICE_STREAM, _ROW_STREAM = 1, 2  # independent of each other and of the items, under one seed
_KEPT_BYTES = 64 * 1024**2  # of noise; a grid is drawn a few rows at a time
WIDE_ROW = 64  # columns; a wider row is drawn from left to right, a part of it at a time
_SOME_COLUMNS, _PARTS = 16, 2


def check_seed(seed: SupportsIndex) -> int:
    """`seed`, a whole number of any kind (numpy's too), as an int. Below 0 down to -2**63 it wraps around, as in torch.

    Raises:
        ConfigError: it is no whole number, or has more than 64 bits.
    """
    try:
        number = operator.index(seed)
    except TypeError:
        number = None
    if number is None or not -(2**63) <= number <= _MASK_64:
        raise ConfigError(f"seed is {shorten(seed)}; it must be a whole number from 0 to {_MASK_64}.")
    return number


def item_seed(seed: int, item: int, stream: int = 0) -> int:
    """The seed of one batch item: `seed` itself for item 0, a hash of both, in [0, 2**63), for the others.

    `stream` other than 0 gives an independent seed for another use of the same item. The hash is splitmix64
    (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
    """
    if item == 0 and stream == 0:
        return seed
    mixed = seed & _MASK_64
    for value in (item, stream):
        mixed = _splitmix64(mixed ^ _splitmix64(value))
    return mixed >> 1


class CellNoise:
    """Gumbel noise of every code in every cell of some grids, made as it is asked for.

    The code with the largest sum of logit and noise is one draw from the distribution of the logits. It stays the same
    where the logits move a little (other sums of floats, another precision, a guess), and mostly where they move more.

    Args:
        items: places of the grids in the batch that `seed` is of.
        width: cells in a row.
        num_codes: V.
    """

    def __init__(self, seed: int, items: range, width: int, num_codes: int, device: torch.device) -> None:
        seed = check_seed(seed)
        self._seeds = [item_seed(seed, item) for item in items]
        self._width, self._num_codes, self._device = width, num_codes, device
        self._rows: dict[int, RowNoise] = {}  # the one that was asked for last is the last
        self._room = max(4, _KEPT_BYTES // (4 * len(items) * min(width, WIDE_ROW) * num_codes))

    def at(self, cells: Sequence[int]) -> Tensor:
        """Noise of `cells`, numbered row by row: (items, len(cells), V) float32."""
        places = [divmod(cell, self._width) for cell in cells]
        noise = torch.stack([self._row(row).at(column) for row, column in places], dim=1)
        while len(self._rows) > max(self._room, 2 * len(cells)):  # rows that are drawn in turns
            del self._rows[next(iter(self._rows))]
        return noise

    def _row(self, row: int) -> RowNoise:
        seeds = [item_seed(seed, row, _ROW_STREAM) for seed in self._seeds]
        noise = self._rows.pop(row, None) or RowNoise(seeds, self._width, self._num_codes, self._device)
        self._rows[row] = noise
        return noise


class RowNoise:
    """Gumbel noise of a row of cells, one generator for each item; of a wide row, a few columns at a time."""

    def __init__(self, seeds: Sequence[int], width: int, num_codes: int, device: torch.device) -> None:
        self._seeds, self._width, self._num_codes, self._device = seeds, width, num_codes, device
        self._columns = width if width <= WIDE_ROW else _SOME_COLUMNS
        self._parts: dict[int, Tensor] = {}  # the last ones, by their first column; each (items, columns, V)
        self._generators: list[torch.Generator] = []
        self._next = 0  # column

    def at(self, column: int) -> Tensor:
        """Noise of one cell, (items, V) float32. Columns are best asked for in rising order."""
        first = column // self._columns * self._columns
        if first not in self._parts and (first < self._next or not self._generators):
            self._generators = [torch.Generator().manual_seed(seed) for seed in self._seeds]
            self._next = 0
        while first not in self._parts:
            if len(self._parts) == _PARTS:
                del self._parts[next(iter(self._parts))]
            self._parts[self._next] = self._make(min(self._columns, self._width - self._next))
            self._next += self._columns
        if self._next >= self._width:
            self._generators = []
        return self._parts[first][:, column - first]

    def _make(self, columns: int) -> Tensor:
        # Logarithms in float64 on the CPU, so that every device is given the same numbers.
        shape = (columns, self._num_codes)
        uniforms = torch.stack([torch.rand(shape, generator=each, dtype=torch.float64) for each in self._generators])
        tiny = torch.finfo(torch.float64).tiny  # a uniform number may be 0
        return uniforms.clamp_(min=tiny).log_().neg_().log_().neg_().float().to(self._device)


def cell_ranks(cells: int, seed: int, item: int) -> Tensor:
    """A random order of the cells of one item, (cells,) int64: the rank of each cell."""
    generator = torch.Generator().manual_seed(item_seed(seed, item, _CHOICE_STREAM))
    return torch.rand(cells, generator=generator, dtype=torch.float64).argsort().argsort()


def _splitmix64(x: int) -> int:
    x = (x + 0x9E3779B97F4A7C15) & _MASK_64
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK_64
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK_64
    return x ^ (x >> 31)
