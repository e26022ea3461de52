"""In which steps a grid larger than the window is sampled, and what each step has to read.

Cells that do not see each other are sampled in one step, a wavefront. Both are planned while the grid is sampled: an
image of 16384 px has millions of tokens.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..conditioning import ConditionConfig, TokenModel, TokenModelConfig, Window
from .windows import places_drawn, window_at, window_start

EAGER_CELLS = 2**14  # cells that are planned to the last before the first is sampled: it takes no time to speak of
MAX_OPEN_CELLS = 2**18  # cells planned and not sampled yet; some seconds
CACHE_BYTES = 2 * 1024**3  # of windows that wait for the next row; beyond it they are read again


def schedule(
    model: TokenModel, known: Tensor, guided: bool, check: Callable[[], None] = lambda: None
) -> Iterator[list[WindowRead]]:
    """In which steps `generate` samples the cells that are not `known`, (B, h, w) bool, and what each step reads.

    The grid is larger than the model's. Steps are planned as they are asked for, and `check` is called meanwhile.
    """
    config, grid = model.config, _padded_grid(model.config.grid, known)
    wanted = cells_to_sample(config, known)
    waves = plan_wavefronts(wanted, grid, config.grid, config.condition, check)
    return plan_reads(waves, wanted, grid, config.grid, config.condition, _room(model, known, guided))


def cells_to_sample(config: TokenModelConfig, known: Tensor) -> bytes:
    """Which cells `generate` samples where some are not `known`, (B, h, w) bool: a byte for each, 1 or 0.

    They are those of a grid that was extended to fill a window; what that adds is sampled where a later cell reads it.
    """
    height, width = _padded_grid(config.grid, known)
    padding = (0, width - known.shape[2], 0, height - known.shape[1])
    wanted = F.pad(~known.all(0), padding, value=True).flatten().cpu()  # never smaller than the window
    if not config.order:
        shown = F.pad(torch.ones_like(known[0]), padding).flatten().cpu()
        last = (wanted & shown).nonzero()
        wanted[int(last[-1]) + 1 if len(last) else 0 :] = False
    return wanted.to(torch.uint8).numpy().tobytes()


def max_open_windows(model: TokenModel, known: Tensor, guided: bool, check: Callable[[], None] = lambda: None) -> int:
    """The most windows in memory at once while cells not `known`, (B, h, w), are sampled.

    Each takes `model.cache_bytes` of the whole batch, at most of `config.block_size` tokens. For large grids it is a
    limit that is kept, not a count.
    """
    if _padded_grid(model.config.grid, known) == model.config.grid:
        return 1
    if cells_to_sample(model.config, known).count(1) <= EAGER_CELLS:
        return schedule_cost(schedule(model, known, guided, check), 0).windows
    side_by_side = math.ceil(known.shape[2] / model.config.grid[1])
    return _room(model, known, guided) + 2 * side_by_side  # those cached, and those of this step and the next


def _room(model: TokenModel, known: Tensor, guided: bool) -> int:
    """How many windows may wait for the next row, which only some in the first and the last rows of a grid have to."""
    config = model.config
    rows = len(known) * (2 if guided else 1)
    width = _padded_grid(config.grid, known)[1]
    in_a_row = width - config.grid[1] + 1 + math.ceil(width / config.grid[1])
    return min(in_a_row, CACHE_BYTES // model.cache_bytes(rows, config.block_size, torch.float32))


def _padded_grid(size: tuple[int, int], cells: Tensor) -> tuple[int, int]:
    return max(size[0], cells.shape[1]), max(size[1], cells.shape[2])


def plan_wavefronts(
    wanted: bytes,
    grid: tuple[int, int],
    size: tuple[int, int],
    condition: ConditionConfig,
    check: Callable[[], None] = lambda: None,
) -> Iterator[list[int]]:
    """Sort the cells of a grid of at least `size` that are `wanted`, a byte for each, into wavefronts.

    A cell comes later than every other wanted one that its window shows before it, and no wavefront holds more cells
    than windows fit side by side: an empty grid needs no more, and each costs memory. At the left edge windows show all
    their columns of the row above, so a row starts one window's width behind the row above it.

    `check` is called once in a row of the grid; what it raises ends the planning.
    """
    height, width = grid
    limit = math.ceil(width / size[1])
    if limit == 1:
        yield from ([cell] for cell in range(len(wanted)) if wanted[cell])
        return
    waves = OpenWavefronts(limit)
    wave_of: dict[int, list[int]] = {}  # for each row that windows still show; -1 where there is nothing to wait for
    starts = [window_start(column, width, size[1], condition) for column in range(width)]
    for row in range(height):
        check()
        top = window_start(row, height, size[0], condition)
        wave_of = {shown: numbers for shown, numbers in wave_of.items() if shown >= top}
        # The last wavefront of each column, in the rows above that the window shows.
        above = [max(column) for column in zip(*wave_of.values(), strict=True)] or [-1] * width
        here = wave_of[row] = [-1] * width
        is_first = True
        for column in range(width):
            if not wanted[row * width + column]:
                continue
            left = starts[column]
            shown = max(max(here[left:column], default=-1), *above[left : left + size[1]])
            here[column] = waves.add(row * width + column, after=shown)
            if is_first:  # an empty grid has nothing below or behind that is sampled earlier
                yield from waves.take(before=here[column])
                is_first = False
    yield from waves.take_all()


class OpenWavefronts:
    """Wavefronts that cells may still join, of `limit` cells at most."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waves: deque[list[int]] = deque()
        self._first = 0  # the number of the first of them
        self._num_full = 0  # of them, from the first on without a gap
        self._num_cells = 0

    def add(self, cell: int, after: int) -> int:
        """Put `cell` into the first wavefront after number `after` that has room; returns its number."""
        place = max(after + 1 - self._first, self._num_full)
        while place < len(self._waves) and len(self._waves[place]) == self._limit:
            place += 1
        if place == len(self._waves):
            self._waves.append([])
        self._waves[place].append(cell)
        self._num_cells += 1
        while self._num_full < len(self._waves) and len(self._waves[self._num_full]) == self._limit:
            self._num_full += 1
        return self._first + place

    def take(self, before: int) -> Iterator[list[int]]:
        """Close wavefronts before number `before`, and more where too many cells wait; nothing while they are few."""
        while self._num_cells > EAGER_CELLS and (self._first < before or self._num_cells > MAX_OPEN_CELLS):
            yield self._close()

    def take_all(self) -> Iterator[list[int]]:
        while self._waves:
            yield self._close()

    def _close(self) -> list[int]:
        wave = self._waves.popleft()
        self._first += 1
        self._num_full = max(0, self._num_full - 1)
        self._num_cells -= len(wave)
        return wave


@dataclass(frozen=True, slots=True)  # there is one for each cell
class WindowRead:
    """What is read of a window before one of its cells is sampled."""

    cell: int
    window: Window
    start: int  # cells of the window that are cached
    end: int  # cells of the window that are read before `cell`
    is_new: bool  # nothing of the window is cached: its condition is read too
    is_kept: bool  # a later cell goes on in it
    capacity: int  # cells that its cache is to hold at last


def plan_reads(
    waves: Iterable[Sequence[int]],
    wanted: bytes,
    grid: tuple[int, int],
    size: tuple[int, int],
    condition: ConditionConfig,
    room: int | None = None,
) -> Iterator[list[WindowRead]]:
    """What every cell of every wavefront reads, if a window is cached for as long as later cells go on in it.

    Args:
        wanted: a byte for each cell of the grid, whether it is in one of the wavefronts.
        room: windows that may be cached; more than these only from one step to the next. None caches them all.
    """
    cached: dict[Window, int] = {}  # cells read of each window
    for wave, next_wave in pairs(waves):
        reads = []
        for cell in wave:
            window = window_at(cell, grid, size, condition)
            later = sampled_later(cell, wanted, window, condition)
            is_new, start, end = window not in cached, cached.pop(window, 0), cells_before(cell, window)
            is_kept = later is not None and (later[0] in next_wave or room is None or len(cached) < room)
            if is_kept:
                cached[window] = end
            capacity = cells_before(later[1], window) if later is not None and is_kept else end
            reads.append(WindowRead(cell, window, start, end, is_new, is_kept, capacity))
        yield reads


def pairs(waves: Iterable[Sequence[int]]) -> Iterator[tuple[Sequence[int], Sequence[int]]]:
    """Each wavefront with the next one; the last with none."""
    wave: Sequence[int] | None = None
    for next_wave in waves:
        if wave is not None:
            yield wave, next_wave
        wave = next_wave
    if wave is not None:
        yield wave, ()


def cells_before(cell: int, window: Window) -> int:
    """Cells of `window` that are read before `cell`."""
    row, column = divmod(cell, window.grid[1])
    return (row - window.top) * window.width + column - window.left


def sampled_later(cell: int, wanted: bytes, window: Window, condition: ConditionConfig) -> tuple[int, int] | None:
    """The next and the last cell after `cell` that are sampled in the same window; None without any.

    In a window cells are sampled in the order in which they are read, whatever step they are in.
    """
    height, width = window.grid
    rows = places_drawn(window.top, height, window.height, condition)
    columns = places_drawn(window.left, width, window.width, condition)
    row = cell // width
    below = ((each * width + columns.start, each * width + columns.stop) for each in range(row + 1, rows.stop))
    spans = [(cell + 1, row * width + columns.stop), *below]
    following = next((found for span in spans if (found := wanted.find(1, *span)) >= 0), None)
    if following is None:
        return None
    return following, next(found for span in reversed(spans) if (found := wanted.rfind(1, *span)) >= 0)


@dataclass(frozen=True)
class ScheduleCost:
    """What a schedule costs for one item of the batch."""

    steps: int  # of the transformer, one after the other
    tokens: int  # that it reads in all of them, conditions included
    batch_sizes: dict[int, int]  # how many steps read so many windows at once
    windows: int  # the most that are cached or read at once


def schedule_cost(steps: Iterable[Sequence[WindowRead]], prefix_length: int) -> ScheduleCost:
    """The cost of `steps` where a window's condition has `prefix_length` tokens."""
    tokens, most, open_windows, sizes = 0, 0, set(), Counter()
    for step in steps:
        tokens += sum(read.end - read.start + prefix_length * read.is_new for read in step)
        open_windows.update(read.window for read in step)
        most = max(most, len(open_windows))
        open_windows.difference_update(read.window for read in step if not read.is_kept)
        sizes[len(step)] += 1
    return ScheduleCost(sum(sizes.values()), tokens, dict(sorted(sizes.items())), most)
