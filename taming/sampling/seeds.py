"""Random numbers that depend on the seed and the batch item only, never on batch size, schedule or device."""

import torch
from torch import Tensor

_MASK_64 = 2**64 - 1
_CHOICE_STREAM = 1  # keeps the choice of cells independent of what is then drawn in them, under one seed


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


def cell_uniforms(batch: int, cells: int, seed: int, first_item: int = 0) -> Tensor:
    """One uniform number in [0, 1) for each cell of each item, (batch, cells) float64 on the CPU."""
    return torch.stack([_uniforms(cells, item_seed(seed, first_item + item)) for item in range(batch)])


def cell_ranks(batch: int, cells: int, seed: int) -> Tensor:
    """A random order of the cells of each item, (batch, cells) int64: the rank of each cell."""
    uniforms = [_uniforms(cells, item_seed(seed, item, _CHOICE_STREAM)) for item in range(batch)]
    return torch.stack(uniforms).argsort(-1).argsort(-1)


def _uniforms(cells: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(cells, generator=generator, dtype=torch.float64)


def _splitmix64(x: int) -> int:
    x = (x + 0x9E3779B97F4A7C15) & _MASK_64
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK_64
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK_64
    return x ^ (x >> 31)
