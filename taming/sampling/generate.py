"""The one sampling loop: fills in the unknown cells of a token grid, wave by wave."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from numbers import Integral
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from ..conditioning import Condition
from ..errors import TokensError
from ..wording import shorten
from .ahead import can_guess, fill_in_ahead
from .canvas import Canvas
from .filters import PLAIN, SamplingOptions, sample_next
from .limits import check_cells
from .reader import WindowReader
from .seeds import CellNoise
from .waves import WHOLE_PLANS, Read, count_reads, plan_reads, plan_waves

if TYPE_CHECKING:
    from ..models.transformer import Transformer, TransformerConfig

Callback = Callable[[int, int, Tensor, Tensor], None]
KEPT_BYTES = 2 * 1024**3  # windows that wait for the next row may take so much; beyond it they are read again


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
    """Draw the cells of `indices`, (B, h, w) int64, that are not `known`, (B, h, w) bool; the others stay as they are.

    A cell's draw depends on the logits, the seed, the batch item and the cell's place, and on nothing else. A grid
    larger than what the transformer was trained on is drawn through a window that slides over it, and cells that do
    not see each other through it are drawn at once; a smaller one is drawn as the upper left part of a whole one.

    Args:
        condition: one for all items, or one for each.
        first_item: the place of the first item in the batch that these items are part of.
        callback: called after every wave (one cell, unless the grid is larger than the window) with the cells done,
            their total, and copies of the grid so far and of what is known of it; cells not drawn yet hold what came
            in. What it raises ends the sampling.
        check: called over and over while it is planned what to read next; what it raises ends the sampling.

    Raises:
        TokensError: the tokens are not of the transformer's vocabulary, or it cannot draw a grid of this size.
        ConditionError: the condition does not fit the grid, or guidance was asked of a model without a null condition.
    """
    _check_tokens(condition, indices, known)
    if known.all():
        return indices.clone()
    height, width = indices.shape[1:]
    config = condition.transformer.config
    plan = plan_visits(condition.transformer, known, options.guidance_scale != 1.0, check)
    total = wanted_cells(config, known).count(1)
    bottom, right = _beyond(config.grid, known)
    indices, known = (F.pad(cells, (0, right, 0, bottom)) for cells in (indices, known))
    condition = condition.expand(len(indices)).padded(bottom, right)

    def report(done: int, tokens: Tensor, drawn: Tensor) -> None:
        if callback is not None:
            grids = (cells.view_as(known)[:, :height, :width].clone() for cells in (tokens, drawn))
            callback(done, total, *grids)

    items = range(first_item, first_item + len(indices))
    noise = CellNoise(seed, items, indices.shape[2], config.vocab_size, indices.device)
    guess = can_guess(condition.transformer, indices)
    drawn = fill_in(condition, indices, known, plan, options, noise, report, guess)
    return drawn[:, :height, :width].clone()  # outside of inference mode again


@torch.inference_mode()
def fill_in(
    condition: Condition,
    indices: Tensor,
    known: Tensor,
    plan: Iterable[Sequence[Read]],
    options: SamplingOptions,
    noise: CellNoise,
    report: Callable[[int, Tensor, Tensor], None],
    guess: bool = False,
) -> Tensor:
    """Read and draw the cells of `plan` wherever they are not known; returns the grid, (B, h, w).

    It goes wave by wave, or with `guess`, for a plan that `can_guess`, several cells at a time.
    """
    canvas = Canvas(indices, known, report)
    reader = WindowReader(condition, options.guidance_scale, indices.device)
    if guess:
        fill_in_ahead(reader, canvas, [wave[0] for wave in plan], options, noise)
    else:
        for wave in plan:
            cells = [read.cell for read in wave]
            logits = reader.logits(wave, canvas.tokens)  # (B, R, V)
            canvas.put(cells, sample_next(logits, options, noise.at(cells)))
    return canvas.tokens.view_as(indices)


def plan_visits(
    transformer: Transformer, known: Tensor, guided: bool, check: Callable[[], None] = lambda: None
) -> Iterator[list[Read]]:
    """In which waves `generate` visits the cells that are not `known`, (B, h, w) bool, and what it reads for each.

    It is planned as it is asked for, and `check` is called meanwhile.
    """
    config = transformer.config
    grid = _padded_grid(config.grid, known)
    order = config.order if grid == config.grid else ()
    wanted = wanted_cells(config, known)
    waves = plan_waves(wanted, grid, config.grid, config.condition, order, check)
    return plan_reads(waves, wanted, grid, config.grid, config.condition, order, _room(transformer, known, guided))


def wanted_cells(config: TransformerConfig, known: Tensor) -> bytes:
    """Which cells `generate` visits to draw those that are not `known`, (B, h, w) bool: a byte for each, 1 or 0.

    They are those of a grid that was extended to fill a window; what it adds is drawn where a later cell reads it.
    """
    bottom, right = _beyond(config.grid, known)
    wanted = F.pad(~known.all(0), (0, right, 0, bottom), value=True).flatten().cpu()  # never smaller than the window
    if not config.order:
        shown = F.pad(torch.ones_like(known[0]), (0, right, 0, bottom)).flatten().cpu()
        last = (wanted & shown).nonzero()
        wanted[int(last[-1]) + 1 if len(last) else 0 :] = False
    return wanted.to(torch.uint8).numpy().tobytes()


def windows_at_once(
    transformer: Transformer, known: Tensor, guided: bool, check: Callable[[], None] = lambda: None
) -> int:
    """The most windows whose keys and values are in memory at once while cells not `known`, (B, h, w), are drawn.

    Each takes `transformer.cache_bytes` of the whole batch, at most of `config.block_size` tokens. For large grids it
    is a limit that is kept, not a count.
    """
    if wanted_cells(transformer.config, known).count(1) <= WHOLE_PLANS:
        return count_reads(plan_visits(transformer, known, guided, check), 0).windows
    side_by_side = math.ceil(known.shape[2] / transformer.config.grid[1])
    return _room(transformer, known, guided) + 2 * side_by_side  # those kept, and those of this wave and the next


def _room(transformer: Transformer, known: Tensor, guided: bool) -> int:
    """How many windows may wait for the next row, which only some in the first and the last rows of a grid have to."""
    config = transformer.config
    rows = len(known) * (2 if guided else 1)
    width = _padded_grid(config.grid, known)[1]
    in_a_row = width - config.grid[1] + 1 + math.ceil(width / config.grid[1])
    return min(in_a_row, KEPT_BYTES // transformer.cache_bytes(rows, config.block_size, torch.float32))


def _padded_grid(size: tuple[int, int], cells: Tensor) -> tuple[int, int]:
    return max(size[0], cells.shape[1]), max(size[1], cells.shape[2])


def _beyond(size: tuple[int, int], cells: Tensor) -> tuple[int, int]:
    """Rows and columns that a grid of `cells`, (B, h, w), lacks to fill a window of `size`."""
    return max(0, size[0] - cells.shape[1]), max(0, size[1] - cells.shape[2])


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
    if grid is not None and not (len(grid) == 2 and all(isinstance(side, Integral) and side > 0 for side in grid)):
        raise TokensError(f"grid is {shorten(grid)}; it must be (height, width) in tokens, whole numbers of 1 or more.")
    height, width = grid or condition.transformer.config.grid
    if num_steps is not None and not isinstance(num_steps, Integral):
        raise TokensError(f"num_steps is {shorten(num_steps)}; it must be a whole number.")
    check_cells(condition.batch_size, height, width)
    if num_steps is not None and not 0 <= num_steps <= height * width:
        raise TokensError(
            f"{shorten(num_steps)} tokens were asked of a grid of {height} x {width} = {height * width} of them."
        )
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
