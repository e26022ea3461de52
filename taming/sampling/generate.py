"""The sampling loop: fills in the unknown cells of token grids."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral

import torch
import torch.nn.functional as F
from torch import Tensor

from ..conditioning import Condition, TokenModel
from ..configs.sampling import PLAIN, SamplingOptions
from ..errors import TokensError
from ..text import shorten
from .decoder import Decoder, check_finite
from .filters import sample_next
from .grid import TokenGrid
from .jacobi import can_draft, jacobi_decode
from .limits import check_cells
from .schedule import cells_to_sample, schedule
from .seeds import CellNoise
from .wavefront import wavefront_decode

Callback = Callable[[int, int, Tensor, Tensor], None]


def generate(
    condition: Condition,
    indices: Tensor,
    known: Tensor,
    *,
    options: SamplingOptions = PLAIN,
    seed: int = 0,
    first_item: int = 0,
    callback: Callback | None = None,
    check: Callable[[], None] = lambda: None,
) -> Tensor:
    """Sample the cells of `indices`, (B, h, w) int64, that are not `known`, (B, h, w) bool; the others stay.

    A cell's sample depends on the logits, the seed, the batch item and the cell's place, and on nothing else. A grid
    larger than what the model was trained on is sampled through a window that slides over it, and cells that do not
    see each other through it are sampled in one step; a smaller one is the upper left part of a whole one.

    Args:
        condition: one for all items, or one for each.
        first_item: the place of the first item in the batch that these items are part of.
        callback: called after every step (one cell, unless the grid is larger than the window) with the cells done,
            their total, and copies of the grid so far and of what is known of it; cells not sampled yet hold what came
            in. What it raises ends the sampling.
        check: called over and over while it is planned what to read next; what it raises ends the sampling.

    Raises:
        TokensError: the tokens are not of the model's vocabulary, or it cannot sample a grid of this size.
        ConditionError: the condition does not fit the grid, or guidance was asked of a model without a null condition.
    """
    model = condition.transformer
    _check_tokens(model, indices, known)
    if known.all():
        return indices.clone()
    height, width = indices.shape[1:]
    cells = cells_to_sample(model.config, known)
    total = cells.count(1)
    steps = schedule(model, known, options.guidance_scale != 1.0, check)  # of a grid larger than the window, if it is
    bottom, right = max(0, model.config.grid[0] - height), max(0, model.config.grid[1] - width)
    indices, known = (F.pad(each, (0, right, 0, bottom)) for each in (indices, known))
    condition = condition.expand(len(indices)).padded(bottom, right)

    def on_step(done: int, tokens: Tensor, sampled: Tensor) -> None:
        if callback is not None:
            grids = (each.view_as(known)[:, :height, :width].clone() for each in (tokens, sampled))
            callback(done, total, *grids)

    grid = TokenGrid(indices, known, model.config.order, on_step)
    items = range(first_item, first_item + len(indices))
    noise = CellNoise(seed, items, indices.shape[2], model.config.vocab_size, indices.device)
    with torch.inference_mode():
        is_whole = grid.shape[1:] == model.config.grid
        decoder = Decoder(condition, options.guidance_scale, is_whole)
        if not is_whole:
            wavefront_decode(decoder, grid, steps, options, noise)
        elif can_draft(model, indices):
            jacobi_decode(decoder, grid, grid.positions(cells), options, noise)
        else:
            decode_sequential(decoder, grid, grid.positions(cells), options, noise)
    return grid.indices.view_as(indices)[:, :height, :width].clone()  # outside of inference mode again


def decode_sequential(
    decoder: Decoder, grid: TokenGrid, positions: Sequence[int], options: SamplingOptions, noise: CellNoise
) -> None:
    """Sample the cells at `positions` of the model's reading order, one after the other, through one KV cache."""
    prefix = decoder.condition_tokens(grid.window)  # (rows, S)
    cache = decoder.new_cache(prefix.shape[1] + positions[-1])
    start = 0
    for position in positions:
        tokens = decoder.repeat(grid.read(start, position))  # (rows, T): known cells, and the last one sampled
        if not cache.length:
            tokens = torch.cat([prefix, tokens], dim=1)
        logits = decoder.guide(decoder.decode(tokens, cache))  # (B, 1, V)
        if position in (positions[0], positions[-1]):  # a NaN on the way stays in the cache
            check_finite(logits)
        cell = grid.cells[position]
        grid.write([cell], sample_next(logits, options, noise.at([cell])))
        start = position


def sample_grid(
    condition: Condition,
    num_steps: int | None = None,
    *,
    grid: tuple[int, int] | None = None,
    options: SamplingOptions = PLAIN,
    seed: int = 0,
    callback: Callback | None = None,
) -> Tensor:
    """Sample a grid from nothing, (B, h, w), or the first `num_steps` tokens in reading order, (B, num_steps).

    `grid`, (h, w), is the one that the model was trained on unless another is asked for.
    """
    if grid is not None and not (len(grid) == 2 and all(isinstance(side, Integral) and side > 0 for side in grid)):
        raise TokensError(f"grid is {shorten(grid)}; it must be (height, width) in tokens, whole numbers of 1 or more.")
    config = condition.transformer.config
    height, width = grid or config.grid
    if num_steps is not None and not isinstance(num_steps, Integral):
        raise TokensError(f"num_steps is {shorten(num_steps)}; it must be a whole number.")
    check_cells(condition.batch_size, height, width)
    if num_steps is not None and not 0 <= num_steps <= height * width:
        raise TokensError(
            f"{shorten(num_steps)} tokens were asked of a grid of {height} x {width} = {height * width} of them."
        )
    order = list(config.order or range(height * width))
    indices = torch.zeros(
        condition.batch_size, height * width, dtype=torch.int64, device=condition.transformer.input_device
    )
    known = torch.zeros_like(indices, dtype=torch.bool)
    if num_steps is not None:
        known[:, order[num_steps:]] = True  # cells after the last unknown one are never looked at
    shape = (condition.batch_size, height, width)
    sampled = generate(condition, indices.view(shape), known.view(shape), options=options, seed=seed, callback=callback)
    return sampled if num_steps is None else sampled.flatten(1)[:, order[:num_steps]]


def _check_tokens(model: TokenModel, indices: Tensor, known: Tensor) -> None:
    config = model.config
    if config.order and tuple(indices.shape[1:]) != tuple(config.grid):
        raise TokensError(
            f"The tokens are a grid of {indices.shape[1]} x {indices.shape[2]} (height x width); this transformer "
            f"draws its cells in an order of its own, in grids of {config.grid[0]} x {config.grid[1]} only. "
            "Give it an image or empty tokens of that size."
        )
    if known.shape != indices.shape:
        raise TokensError(
            f"The mask of known cells has shape {tuple(known.shape)}, the tokens {tuple(indices.shape)}; "
            "they must be equal."
        )
    kept = indices[known]
    foreign = kept[(kept < 0) | (kept >= config.vocab_size)]
    if foreign.numel():
        raise TokensError(
            f"The tokens hold index {int(foreign[0])}, but this transformer knows 0 to {config.vocab_size - 1}. "
            "They come from another tokenizer; encode with the one the transformer was trained on."
        )
