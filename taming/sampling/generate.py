"""The one sampling loop: fills in the unknown cells of a token grid, left to right and top to bottom."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..conditioning import Condition
from ..errors import ConditionError, TamingError, TokensError
from .filters import PLAIN, SamplingOptions, sample_next
from .seeds import cell_uniforms

Callback = Callable[[int, int, Tensor], None]


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

    A cell's draw depends on the logits, the seed, the batch item and the cell's place, and on nothing else.

    Args:
        condition: one for all items, or one for each.
        callback: called after every step with the steps done, their total, and a copy of the grid so far, in which
            cells not drawn yet hold what came in. What it raises ends the sampling.

    Raises:
        TokensError: the grid is not the one the transformer was trained on, or its tokens are not of its vocabulary.
        ConditionError: guidance was asked of a model without a null condition, or the batch sizes disagree.
    """
    _check_grid(condition, indices, known)
    steps = (~known).flatten(1).any(0).nonzero()[:, 0].tolist()  # cells to visit, in raster order
    if not steps:
        return indices.clone()
    drawn = _fill_in(condition.expand(len(indices)), indices, known, steps, options, seed, callback)
    return drawn.clone()  # outside of inference mode again


@torch.inference_mode()
def _fill_in(
    condition: Condition,
    indices: Tensor,
    known: Tensor,
    steps: list[int],
    options: SamplingOptions,
    seed: int,
    callback: Callback | None,
) -> Tensor:
    """Visit the cells of `steps` and draw them wherever they are not known; returns the grid, (B, h, w)."""
    batch, cells = len(indices), indices[0].numel()
    prefix, context = _model_inputs(condition, options.guidance_scale, indices.device)
    copies, prefix_length = len(prefix) // batch, prefix.shape[1]
    sequence = torch.cat([prefix, indices.flatten(1).repeat(copies, 1)], dim=1)  # (copies * B, S + h * w)
    tokens, known = sequence[:batch, prefix_length:], known.flatten(1)  # (B, h * w); tokens are a view of sequence
    some_known = known.any(0).tolist()
    uniforms = cell_uniforms(batch, cells, seed).to(indices.device, _draw_dtype(indices.device))
    cache = condition.transformer.new_cache(prefix_length + steps[-1])
    for done, cell in enumerate(steps, start=1):
        unread = sequence[:, cache.length : prefix_length + cell]  # the last token drawn and known ones after it
        logits = condition.transformer(unread, context, cache, last_only=True)[:, 0]  # (copies * B, V)
        if done in (1, len(steps)):  # a NaN on the way stays in the cache
            _check_finite(logits)
        if copies == 2:
            told, untold = logits.float().chunk(2)
            logits = untold + options.guidance_scale * (told - untold)
        drawn = sample_next(logits, options, uniforms[:, cell])
        if some_known[cell]:
            drawn = torch.where(known[:, cell], tokens[:, cell], drawn)
        sequence[:, prefix_length + cell] = drawn.repeat(copies)
        if callback is not None:
            callback(done, len(steps), tokens.reshape(indices.shape).clone())
    return tokens.reshape(indices.shape)


def sample_grid(
    condition: Condition,
    num_steps: int | None = None,
    *,
    options: SamplingOptions = PLAIN,
    seed: int = 0,
    callback: Callback | None = None,
) -> Tensor:
    """Draw a grid from nothing, (B, h, w), or its first `num_steps` tokens in raster order, (B, num_steps)."""
    height, width = condition.transformer.config.grid
    if num_steps is not None and not 0 <= num_steps <= height * width:
        raise TokensError(
            f"{num_steps} tokens were asked of a transformer that draws {height} x {width} = {height * width} of them."
        )
    device = condition.transformer.pos_emb.device
    indices = torch.zeros(condition.batch_size, height * width, dtype=torch.int64, device=device)
    known = torch.zeros_like(indices, dtype=torch.bool)
    if num_steps is not None:
        known[:, num_steps:] = True  # cells after the last unknown one are never looked at
    grid_shape = (condition.batch_size, height, width)
    drawn = generate(
        condition, indices.view(grid_shape), known.view(grid_shape), options=options, seed=seed, callback=callback
    )
    return drawn if num_steps is None else drawn.flatten(1)[:, :num_steps]


def _model_inputs(condition: Condition, guidance_scale: float, device: torch.device) -> tuple[Tensor, Tensor | None]:
    """Prefix and context of the forward batch, which guidance doubles: first told, then untold."""
    prefix, context = condition.prefix.to(device), condition.context
    context = None if context is None else context.to(device)
    if guidance_scale == 1.0:
        return prefix, context
    if condition.null_prefix is None:
        raise ConditionError(
            f"guidance_scale is {guidance_scale:g}, but this transformer was not trained with a null condition to "
            "guide away from. Set guidance_scale to 1."
        )
    context = None if context is None else context.repeat(2, 1, 1)
    return torch.cat([prefix, condition.null_prefix.to(device)]), context


def _check_grid(condition: Condition, indices: Tensor, known: Tensor) -> None:
    config = condition.transformer.config
    if tuple(indices.shape[1:]) != tuple(config.grid):
        raise TokensError(
            f"The tokens are a grid of {indices.shape[1]} x {indices.shape[2]} (height x width); this transformer "
            f"draws {config.grid[0]} x {config.grid[1]}. Give it an image or empty tokens of that size."
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
    if config.n_unmasked > condition.prefix.shape[1]:
        raise TokensError(
            f"This transformer sees its first {config.n_unmasked} tokens in both directions, but its condition has "
            f"only {condition.prefix.shape[1]}: it was not trained to draw the others one by one."
        )


def _check_finite(logits: Tensor) -> None:
    if not torch.isfinite(logits).all():
        raise TamingError(
            "The transformer's logits are not finite numbers. Its weights are damaged, or it overflows in "
            f"{logits.dtype}; load it in float32."
        )


def _draw_dtype(device: torch.device) -> torch.dtype:
    return torch.float32 if device.type == "mps" else torch.float64  # MPS has no float64
