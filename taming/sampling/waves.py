"""In which order a grid is drawn: cells that do not see each other at once, and what each of them has to read."""

from __future__ import annotations

import math
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..conditioning import ConditionConfig, Window
from .windows import window_at


def plan_waves(
    cells: Sequence[int],
    grid: tuple[int, int],
    size: tuple[int, int],
    condition: ConditionConfig,
    check: Callable[[], None] = lambda: None,
) -> list[list[int]]:
    """Sort `cells`, numbers of a grid of at least `size` in the order in which they are read, into waves.

    A cell comes in a later wave than every other one of `cells` that its window shows before it, and no wave holds
    more cells than windows fit side by side: an empty grid needs no more, and each costs memory. At the left edge
    windows show all their columns of the row above, so a row starts one window's width behind the row above it.

    `check` is called once in a row of the grid; what it raises ends the planning, which takes minutes for a million
    cells.
    """
    limit = math.ceil(grid[1] / size[1])
    if limit == 1 or grid == size:
        return [[cell] for cell in cells]
    waves: list[list[int]] = []
    wave_of = [[-1] * grid[1] for _ in range(grid[0])]  # -1 where there is nothing to wait for
    above: list[int] = []  # the last wave of each column, in the rows above that the window shows
    first_open, above_row = 0, -1
    for cell in cells:
        row, column = divmod(cell, grid[1])
        window = window_at(cell, grid, size, condition)
        if row != above_row:
            check()
            above_row, above = row, [max(column) for column in zip(*wave_of[window.top : row], strict=True)]
        shown = wave_of[row][window.left : column] + above[window.left : window.left + window.width]
        number = max(1 + max(shown, default=-1), first_open)
        while number < len(waves) and len(waves[number]) == limit:
            number += 1
        if number == len(waves):
            waves.append([])
        waves[number].append(cell)
        wave_of[row][column] = number
        while first_open < len(waves) and len(waves[first_open]) == limit:
            first_open += 1
    return waves


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
    waves: Sequence[Sequence[int]],
    grid: tuple[int, int],
    size: tuple[int, int],
    condition: ConditionConfig,
    order: Sequence[int] = (),
    room: int | None = None,
    check: Callable[[], None] = lambda: None,
) -> list[list[Read]]:
    """What every cell of every wave reads, if a window is kept for as long as cells to come go on in it.

    Args:
        order: cells of a grid of `size` in the order in which they are read, where that is not row by row.
        room: windows that may be kept; more than these only from one wave to the next. None keeps them all.
        check: called once in a wave; what it raises ends the planning.
    """
    ends = {cell: end for end, cell in enumerate(order)}
    uses: defaultdict[Window, deque[tuple[int, int]]] = defaultdict(deque)  # (number of the wave, end) of each cell
    windows = {}
    for number, wave in enumerate(waves):
        check()
        for cell in wave:
            window = windows[cell] = window_at(cell, grid, size, condition)
            row, column = divmod(cell, grid[1])
            end = ends[cell] if order else (row - window.top) * window.width + column - window.left
            uses[window].append((number, end))
    held: dict[Window, int] = {}  # cells read of each window
    plan: list[list[Read]] = []
    for number, wave in enumerate(waves):
        check()
        plan.append([])
        for cell in wave:
            window, to_come = windows[cell], uses[windows[cell]]
            _, end = to_come.popleft()
            is_new, start = window not in held, held.pop(window, 0)
            is_kept = bool(to_come) and (to_come[0][0] == number + 1 or room is None or len(held) < room)
            if is_kept:
                held[window] = end
            plan[-1].append(Read(cell, window, start, end, is_new, is_kept, to_come[-1][1] if is_kept else end))
    return plan


@dataclass(frozen=True)
class ReadCounts:
    """What a plan costs for one item of the batch."""

    steps: int  # calls of the transformer, one after the other
    tokens: int  # tokens that it reads in all of them, conditions included
    batch_sizes: dict[int, int]  # how many calls read so many windows at once
    windows: int  # the most whose keys and values are there at once


def count_reads(plan: Sequence[Sequence[Read]], prefix_length: int) -> ReadCounts:
    """The cost of `plan` where a window's condition has `prefix_length` tokens."""
    tokens, most, held = 0, 0, set()
    for wave in plan:
        tokens += sum(read.end - read.start + prefix_length * read.is_new for read in wave)
        held.update(read.window for read in wave)
        most = max(most, len(held))
        held.difference_update(read.window for read in wave if not read.is_kept)
    sizes = Counter(len(wave) for wave in plan)
    return ReadCounts(len(plan), tokens, dict(sorted(sizes.items())), most)
