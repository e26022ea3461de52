"""The one sampling loop: fills in the unknown cells of a token grid, one after the other."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ..conditioning import Condition
from ..errors import TokensError
from .filters import PLAIN, SamplingOptions, sample_next
from .reader import WindowReader, check_finite
from .seeds import cell_uniforms

Callback = Callable[[int, int, Tensor, Tensor], None]


def generate(
    condition: Condition,
    indices: Tensor,
    known: Tensor,
    *,
    options: SamplingOptions = PLAIN,
    seed: int = 0,
    callback: Callback | None = None,
) -> Tensor:
    """Draw the cells of `indices`, (B, h, w) int64, that are not `known`, (B, h, w) bool; the others stay as they are.

    A cell's draw depends on the logits, the seed, the batch item and the cell's place, and on nothing else. A grid
    larger than what the transformer was trained on is drawn through a window that slides over it; a smaller one is
    drawn as the upper left part of a whole one.

    Args:
        condition: one for all items, or one for each.
        callback: called after every step with the steps done, their total, and copies of the grid so far and of what
            is known of it; cells not drawn yet hold what came in. What it raises ends the sampling.

    Raises:
        TokensError: the tokens are not of the transformer's vocabulary, or it cannot draw a grid of this size.
        ConditionError: the condition does not fit the grid, or guidance was asked of a model without a null condition.
    """
    _check_tokens(condition, indices, known)
    if known.all():
        return indices.clone()
    height, width = indices.shape[1:]
    window_height, window_width = condition.transformer.config.grid
    bottom, right = max(0, window_height - height), max(0, window_width - width)
    is_shown = torch.ones(height, width, dtype=torch.bool, device=known.device)
    indices, known, is_shown = (F.pad(cells, (0, right, 0, bottom)) for cells in (indices, known, is_shown))
    condition = condition.expand(len(indices)).padded(bottom, right)
    steps = _cells_to_visit(condition.transformer.config.order, known, is_shown)

    def report(done: int, tokens: Tensor, drawn: Tensor) -> None:
        if callback is not None:
            grids = (cells.view_as(known)[:, :height, :width].clone() for cells in (tokens, drawn))
            callback(done, len(steps), *grids)

    drawn = _fill_in(condition, indices, known, steps, options, seed, report)
    return drawn[:, :height, :width].clone()  # outside of inference mode again


def _cells_to_visit(order: tuple[int, ...], known: Tensor, is_shown: Tensor) -> list[int]:
    """Numbers of the cells that any item lacks, (B, h, w), as far as they come before one that is shown, (h, w)."""
    wanted, shown = (~known).flatten(1).any(0).tolist(), is_shown.flatten().tolist()
    steps = [cell for cell in order or range(len(wanted)) if wanted[cell]]
    while not shown[steps[-1]]:
        steps.pop()
    return steps


@torch.inference_mode()
def _fill_in(
    condition: Condition,
    indices: Tensor,
    known: Tensor,
    steps: list[int],
    options: SamplingOptions,
    seed: int,
    report: Callable[[int, Tensor, Tensor], None],
) -> Tensor:
    """Visit the cells of `steps` and draw them wherever they are not known; returns the grid, (B, h, w)."""
    batch, height, width = indices.shape
    tokens, drawn = indices.flatten(1).clone(), known.flatten(1).clone()  # (B, h * w)
    some_known = drawn.any(0).tolist()
    uniforms = cell_uniforms(batch, height * width, seed).to(tokens.device, _draw_dtype(tokens.device))
    reader = WindowReader(condition, (height, width), options.guidance_scale)
    for done, cell in enumerate(steps, start=1):
        logits = reader.logits(cell, tokens)  # (B, V)
        if done == len(steps):  # a NaN on the way stays in the cache
            check_finite(logits)
        token = sample_next(logits, options, uniforms[:, cell])
        tokens[:, cell] = torch.where(drawn[:, cell], tokens[:, cell], token) if some_known[cell] else token
        drawn[:, cell] = True
        report(done, tokens, drawn)
    return tokens.view(batch, height, width)


def sample_grid(
    condition: Condition,
    num_steps: int | None = None,
    *,
    grid: tuple[int, int] | None = None,
    options: SamplingOptions = PLAIN,
    seed: int = 0,
    callback: Callback | None = None,
) -> Tensor:
    """Draw a grid from nothing, (B, h, w), or the first `num_steps` tokens that are drawn, (B, num_steps).

    `grid`, (h, w), is the one that the transformer was trained on unless another is asked for.
    """
    height, width = grid or condition.transformer.config.grid
    if num_steps is not None and not 0 <= num_steps <= height * width:
        raise TokensError(f"{num_steps} tokens were asked of a grid of {height} x {width} = {height * width} of them.")
    device = condition.transformer.pos_emb.device
    order = list(condition.transformer.config.order or range(height * width))
    indices = torch.zeros(condition.batch_size, height * width, dtype=torch.int64, device=device)
    known = torch.zeros_like(indices, dtype=torch.bool)
    if num_steps is not None:
        known[:, order[num_steps:]] = True  # cells after the last unknown one are never looked at
    grid_shape = (condition.batch_size, height, width)
    drawn = generate(
        condition, indices.view(grid_shape), known.view(grid_shape), options=options, seed=seed, callback=callback
    )
    return drawn if num_steps is None else drawn.flatten(1)[:, order[:num_steps]]


def _check_tokens(condition: Condition, indices: Tensor, known: Tensor) -> None:
    config = condition.transformer.config
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


def _draw_dtype(device: torch.device) -> torch.dtype:
    return torch.float32 if device.type == "mps" else torch.float64  # MPS has no float64
