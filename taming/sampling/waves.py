"""In which order a grid is drawn: cells that do not see each other at once, and what each of them has to read.

Both are planned while the grid is drawn: a picture of 16384 px has millions of tokens.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..conditioning import ConditionConfig, Window
from .windows import places_drawn, window_at, window_start

WHOLE_PLANS = 2**14  # cells that are planned to the last before the first is drawn: it takes no time to speak of
MOST_AHEAD = 2**18  # cells planned and not drawn; some seconds


def plan_waves(
    wanted: bytes,
    grid: tuple[int, int],
    size: tuple[int, int],
    condition: ConditionConfig,
    order: Sequence[int] = (),
    check: Callable[[], None] = lambda: None,
) -> Iterator[list[int]]:
    """Sort the cells of a grid of at least `size` that are `wanted`, a byte for each, into waves.

    A cell comes in a later wave than every other wanted one that its window shows before it, and no wave holds more
    cells than windows fit side by side: an empty grid needs no more, and each costs memory. At the left edge windows
    show all their columns of the row above, so a row starts one window's width behind the row above it.

    Args:
        order: cells of a grid of `size` in the order in which they are read, where that is not row by row.
        check: called once in a row of the grid; what it raises ends the planning.
    """
    height, width = grid
    limit = math.ceil(width / size[1])
    if limit == 1 or grid == size:
        yield from ([cell] for cell in order or range(len(wanted)) if wanted[cell])
        return
    waves = OpenWaves(limit)
    wave_of: dict[int, list[int]] = {}  # for each row that windows still show; -1 where there is nothing to wait for
    starts = [window_start(column, width, size[1], condition) for column in range(width)]
    for row in range(height):
        check()
        top = window_start(row, height, size[0], condition)
        wave_of = {shown: numbers for shown, numbers in wave_of.items() if shown >= top}
        # The last wave of each column, in the rows above that the window shows.
        above = [max(column) for column in zip(*wave_of.values(), strict=True)] or [-1] * width
        here = wave_of[row] = [-1] * width
        is_first = True
        for column in range(width):
            if not wanted[row * width + column]:
                continue
            left = starts[column]
            shown = max(max(here[left:column], default=-1), *above[left : left + size[1]])
            here[column] = waves.add(row * width + column, after=shown)
            if is_first:  # an empty grid has nothing below or behind that is drawn earlier
                yield from waves.take(before=here[column])
                is_first = False
    yield from waves.take_all()


class OpenWaves:
    """Waves that cells may still join, of `limit` cells at most."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waves: deque[list[int]] = deque()
        self._first = 0  # the number of the first of them
        self._num_full = 0  # of them, from the first on without a gap
        self._num_cells = 0

    def add(self, cell: int, after: int) -> int:
        """Put `cell` into the first wave after number `after` that has room; returns its number."""
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
        """Close waves before number `before`, and more where too many cells wait; nothing while they are few."""
        while self._num_cells > WHOLE_PLANS and (self._first < before or self._num_cells > MOST_AHEAD):
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
class Read:
    """What is read of a window before one of its cells is drawn."""

    cell: int
    window: Window
    start: int  # cells of the window whose keys and values are held
    end: int  # cells of the window that are read before `cell`
    is_new: bool  # nothing of the window is held: its condition is read too
    is_kept: bool  # a later cell goes on in it
    capacity: int  # cells that it is to hold at last


def plan_reads(
    waves: Iterable[Sequence[int]],
    wanted: bytes,
    grid: tuple[int, int],
    size: tuple[int, int],
    condition: ConditionConfig,
    order: Sequence[int] = (),
    room: int | None = None,
) -> Iterator[list[Read]]:
    """What every cell of every wave reads, if a window is kept for as long as cells to come go on in it.

    Args:
        wanted: a byte for each cell of the grid, whether it is in one of the waves.
        order: cells of a grid of `size` in the order in which they are read, where that is not row by row.
        room: windows that may be kept; more than these only from one wave to the next. None keeps them all.
    """
    places = {cell: place for place, cell in enumerate(order)}
    if order:
        wanted = bytes(wanted[cell] for cell in order)
    held: dict[Window, int] = {}  # cells read of each window
    for wave, next_wave in pairs(waves):
        soon = {places.get(cell, cell) for cell in next_wave}
        reads = []
        for cell in wave:
            window, place = window_at(cell, grid, size, condition), places.get(cell, cell)
            later = drawn_later(place, wanted, window, condition)
            is_new, start, end = window not in held, held.pop(window, 0), cells_before(place, window)
            is_kept = later is not None and (later[0] in soon or room is None or len(held) < room)
            if is_kept:
                held[window] = end
            capacity = cells_before(later[1], window) if later is not None and is_kept else end
            reads.append(Read(cell, window, start, end, is_new, is_kept, capacity))
        yield reads


def pairs(waves: Iterable[Sequence[int]]) -> Iterator[tuple[Sequence[int], Sequence[int]]]:
    """Each wave with the next one; the last with none."""
    wave: Sequence[int] | None = None
    for next_wave in waves:
        if wave is not None:
            yield wave, next_wave
        wave = next_wave
    if wave is not None:
        yield wave, ()


def cells_before(place: int, window: Window) -> int:
    """Cells of `window` that are read before the one at `place`, its number in the order of reading."""
    row, column = divmod(place, window.grid[1])
    return (row - window.top) * window.width + column - window.left


def drawn_later(place: int, wanted: bytes, window: Window, condition: ConditionConfig) -> tuple[int, int] | None:
    """Places of the next and of the last cell after `place` that are drawn in the same window; None without any.

    In a window cells are drawn in the order in which they are read, whatever waves they are in: each sees those before.
    """
    height, width = window.grid
    if window.is_whole:
        spans = [(place + 1, len(wanted))]
    else:
        rows = places_drawn(window.top, height, window.height, condition)
        columns = places_drawn(window.left, width, window.width, condition)
        row = place // width
        below = ((each * width + columns.start, each * width + columns.stop) for each in range(row + 1, rows.stop))
        spans = [(place + 1, row * width + columns.stop), *below]
    found = (wanted.find(1, *span) for span in spans)
    following = next((cell for cell in found if cell >= 0), None)
    if following is None:
        return None
    found = (wanted.rfind(1, *span) for span in reversed(spans))
    return following, next(cell for cell in found if cell >= 0)


@dataclass(frozen=True)
class ReadCounts:
    """What a plan costs for one item of the batch."""

    steps: int  # calls of the transformer, one after the other
    tokens: int  # tokens that it reads in all of them, conditions included
    batch_sizes: dict[int, int]  # how many calls read so many windows at once
    windows: int  # the most whose keys and values are there at once


def count_reads(plan: Iterable[Sequence[Read]], prefix_length: int) -> ReadCounts:
    """The cost of `plan` where a window's condition has `prefix_length` tokens."""
    tokens, most, held, sizes = 0, 0, set(), Counter()
    for wave in plan:
        tokens += sum(read.end - read.start + prefix_length * read.is_new for read in wave)
        held.update(read.window for read in wave)
        most = max(most, len(held))
        held.difference_update(read.window for read in wave if not read.is_kept)
        sizes[len(wave)] += 1
    return ReadCounts(sum(sizes.values()), tokens, dict(sorted(sizes.items())), most)
