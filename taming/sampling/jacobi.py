"""Jacobi decoding: several cells of one grid in a step, the same tokens as one by one in fewer steps.

A step that reads a few tokens takes hardly longer than one that reads one: both read all the weights. So cells to come
are drafted, read together, and sampled, each with its own noise. Samples are right up to the first one whose draft
before it was wrong, that one included; the others are the next draft. This is Jacobi's iteration (Song et al.,
Accelerating Feedforward Computation via Parallel Nonlinear Equation Solving, 2021) under fixed noise (Wiggers and
Hoogeboom, Predictive Sampling with Forecasting Autoregressive Models, 2020): noise that is added to logits samples the
same code again where they move a little, so that drafts made from wrong neighbors are often right.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..conditioning import TokenModel
from ..configs.sampling import SamplingOptions
from ..modules.acceleration import quantizes_activations
from .decoder import Decoder, check_finite
from .filters import sample_next
from .grid import TokenGrid
from .seeds import CellNoise

MIN_DRAFT, MAX_DRAFT = 2, 6  # cells in a step
ACCEPT_THRESHOLD = 1.25  # cells accepted per step, on average, above which drafts are long: those cost up to half more
EMA_DECAY = 0.9  # of that average, from step to step


def can_draft(model: TokenModel, indices: Tensor) -> bool:
    """Whether to decode `indices`, (B, h, w), of the size that the transformer sees at once, by drafts.

    Items of a batch would be right in unequal numbers. What a GPU gains was not measured. Where layers round what they
    multiply, the float noise of steps of another length is magnified until it samples other tokens.
    """
    return len(indices) == 1 and indices.device.type == "cpu" and not quantizes_activations(model)


def jacobi_decode(
    decoder: Decoder,
    grid: TokenGrid,
    positions: Sequence[int],
    options: SamplingOptions,
    noise: CellNoise,
) -> None:
    """Sample the cells at `positions` in the model's reading order."""
    prefix = decoder.condition_tokens(grid.window)  # (rows, S)
    draft = grid.read(0, len(grid.cells)).clone()  # (1, L): known, sampled or guessed
    cache = decoder.new_cache(prefix.shape[1] + positions[-1] + 1)  # with room: one step may fill it
    num_done, average = 0, float(MIN_DRAFT)
    while num_done < len(positions):
        size = MAX_DRAFT if average > ACCEPT_THRESHOLD else MIN_DRAFT
        group = positions[num_done : num_done + size]
        num_read = cache.length - prefix.shape[1] if cache.length else 0
        tokens = decoder.repeat(draft[:, num_read : group[-1]])  # (rows, T)
        if not cache.length:
            tokens = torch.cat([prefix, tokens], dim=1)
        logits = decoder.guide(decoder.decode(tokens, cache, last=group[-1] - group[0] + 1))
        if num_done == 0 or num_done + len(group) == len(positions):  # a NaN on the way stays in the cache
            check_finite(logits)
        logits = logits[0, [position - group[0] for position in group]]  # (len(group), V)
        sampled = sample_next(logits, options, noise.at([grid.cells[each] for each in group])[0])  # (len(group),)
        is_right = (sampled == draft[0, group])[:-1].tolist()
        num_accepted = 1 + (is_right.index(False) if False in is_right else len(is_right))
        cache.truncate(prefix.shape[1] + group[num_accepted - 1])
        draft[0, group] = sampled
        average = EMA_DECAY * average + (1 - EMA_DECAY) * num_accepted
        draft[0, positions[num_done + len(group) : num_done + num_accepted + MAX_DRAFT]] = sampled[-1]
        for position in group[:num_accepted]:
            grid.write([grid.cells[position]], draft[:, position : position + 1])
        num_done += num_accepted
