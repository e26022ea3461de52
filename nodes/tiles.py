"""Decoding a grid of tokens in overlapping tiles that fade into each other."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

OVERLAP = 4  # a tile shares a quarter of its side with its neighbor


def decode_tiles(decode: Callable[[Tensor], Tensor], indices: Tensor, tile: int, factor: int) -> Tensor:
    """Decode `indices`, (1, h, w), in squares of `tile` cells; returns pixels (1, C, H, W) on the CPU.

    `decode` turns (1, h, w) indices into pixels. Each pixel is the mean of the tiles that cover it, weighted by how far
    inside of them it lies, so that no edge of a tile shows.
    """
    height, width = indices.shape[1:]
    total = weight_sum = torch.zeros(())
    for top in tile_starts(height, tile):
        for left in tile_starts(width, tile):
            pixels = decode(indices[:, top : top + tile, left : left + tile]).float().cpu()
            weight = _feather(pixels.shape[-2], tile * factor)[:, None] * _feather(pixels.shape[-1], tile * factor)
            if not total.dim():
                total = torch.zeros(1, pixels.shape[1], height * factor, width * factor)
                weight_sum = torch.zeros(height * factor, width * factor)
            rows = slice(top * factor, top * factor + pixels.shape[-2])
            columns = slice(left * factor, left * factor + pixels.shape[-1])
            total[..., rows, columns] += pixels.mul_(weight)
            weight_sum[rows, columns] += weight
    return total.div_(weight_sum)


def tile_starts(length: int, tile: int) -> list[int]:
    """Where tiles begin along an axis of `length` cells; the last one ends where the axis does."""
    if length <= tile:
        return [0]
    step = tile - tile // OVERLAP
    return [*range(0, length - tile, step), length - tile]


def _feather(size_px: int, tile_px: int) -> Tensor:
    """Weights along one side of a tile: 1 inside, falling off over the overlap, never quite 0."""
    ramp = tile_px // OVERLAP
    distance = torch.arange(size_px, dtype=torch.float32) + 0.5
    distance = torch.minimum(distance, size_px - distance)
    return (distance / ramp).clamp(max=1.0)
