"""Grids sampled by our loop itself, with drafts or without: `generate` decides that by what pays."""

from __future__ import annotations

import torch
from torch import Tensor

from taming.conditioning import Condition
from taming.sampling import SamplingOptions
from taming.sampling.decoder import Decoder
from taming.sampling.generate import decode_sequential
from taming.sampling.grid import TokenGrid
from taming.sampling.jacobi import jacobi_decode
from taming.sampling.schedule import cells_to_sample
from taming.sampling.seeds import CellNoise


def draw_grid(
    condition: Condition, options: SamplingOptions, seed: int, *, draft: bool = False, num_tokens: int | None = None
) -> Tensor:
    """A grid of the transformer's own size for each condition, (B, h, w), or the first tokens of it; the rest is 0."""
    config, batch = condition.transformer.config, condition.batch_size
    indices = torch.zeros(batch, *config.grid, dtype=torch.int64)
    known = torch.zeros_like(indices, dtype=torch.bool)
    if num_tokens is not None:
        known.flatten(1)[:, num_tokens:] = True
    grid = TokenGrid(indices, known, config.order, lambda *_: None)
    noise = CellNoise(seed, range(batch), config.grid[1], config.vocab_size, indices.device)
    decode = jacobi_decode if draft else decode_sequential
    with torch.inference_mode():
        decoder = Decoder(condition, options.guidance_scale, is_whole=True)
        decode(decoder, grid, grid.positions(cells_to_sample(config, known)), options, noise)
    return grid.indices.view_as(indices)
