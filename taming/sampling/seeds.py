"""Random numbers that depend on the seed, the item and the cell only, never on batch size, schedule or device."""

import operator
from collections.abc import Sequence
from typing import SupportsIndex

import torch
from torch import Tensor

from ..errors import TamingError

_MASK_64 = 2**64 - 1
_CHOICE_STREAM, _ROW_STREAM = 1, 2  # independent of each other and of the items, under one seed
_KEPT_BYTES = 64 * 1024**2  # of noise; a grid is drawn a few rows at a time


def check_seed(seed: SupportsIndex) -> int:
    """`seed`, a whole number of any kind (numpy's too), as an int. Below 0 down to -2**63 it wraps around, as in torch.

    Raises:
        TamingError: it is no whole number, or has more than 64 bits.
    """
    try:
        number = operator.index(seed)
    except TypeError:
        number = None
    if number is None or not -(2**63) <= number <= _MASK_64:
        raise TamingError(f"seed is {seed!r:.80}; it must be a whole number from 0 to {_MASK_64}.")
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
        self._rows: dict[int, Tensor] = {}  # each (items, width, V)
        self._room = max(4, _KEPT_BYTES // (4 * len(items) * width * num_codes))

    def at(self, cells: Sequence[int]) -> Tensor:
        """Noise of `cells`, numbered row by row: (items, len(cells), V) float32."""
        places = [divmod(cell, self._width) for cell in cells]
        return torch.stack([self._row(row)[:, column] for row, column in places], dim=1)

    def _row(self, row: int) -> Tensor:
        if row not in self._rows:
            if len(self._rows) == self._room:
                del self._rows[next(iter(self._rows))]  # the oldest
            self._rows[row] = self._make_row(row)
        return self._rows[row]

    def _make_row(self, row: int) -> Tensor:
        # Logarithms in float64 on the CPU, so that every device is given the same numbers.
        shape = (self._width, self._num_codes)
        uniforms = torch.stack([_uniforms(shape, item_seed(seed, row, _ROW_STREAM)) for seed in self._seeds])
        tiny = torch.finfo(torch.float64).tiny  # a uniform number may be 0
        return uniforms.clamp_(min=tiny).log_().neg_().log_().neg_().float().to(self._device)


def cell_ranks(batch: int, cells: int, seed: int) -> Tensor:
    """A random order of the cells of each item, (batch, cells) int64: the rank of each cell."""
    seed = check_seed(seed)
    uniforms = [_uniforms((cells,), item_seed(seed, item, _CHOICE_STREAM)) for item in range(batch)]
    return torch.stack(uniforms).argsort(-1).argsort(-1)


def _uniforms(shape: tuple[int, ...], seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator, dtype=torch.float64)


def _splitmix64(x: int) -> int:
    x = (x + 0x9E3779B97F4A7C15) & _MASK_64
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK_64
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK_64
    return x ^ (x >> 31)
