"""Grids drawn by our loop itself, with guesses or without: `generate` decides that by what pays."""

from __future__ import annotations

import torch
from torch import Tensor

from taming.conditioning import Condition
from taming.sampling import SamplingOptions
from taming.sampling.generate import fill_in, plan_visits
from taming.sampling.seeds import CellNoise


def draw_grid(
    condition: Condition, options: SamplingOptions, seed: int, *, guess: bool = False, num_tokens: int | None = None
) -> Tensor:
    """A grid of the transformer's own size for each condition, (B, h, w), or the first tokens of it; the rest is 0."""
    config, batch = condition.transformer.config, condition.batch_size
    indices = torch.zeros(batch, *config.grid, dtype=torch.int64)
    known = torch.zeros_like(indices, dtype=torch.bool)
    if num_tokens is not None:
        known.flatten(1)[:, num_tokens:] = True
    plan = plan_visits(condition.transformer, known, options.guidance_scale != 1.0)
    noise = CellNoise(seed, range(batch), config.grid[1], config.vocab_size, indices.device)
    return fill_in(condition, indices, known, plan, options, noise, lambda *_: None, guess)
