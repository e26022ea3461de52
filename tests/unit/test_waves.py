"""The order of visits to a large grid: nothing is drawn before what it sees, and nothing is read twice needlessly."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles.sliding_window import CONDITIONS
from taming.sampling.waves import count_reads, plan_reads, plan_waves
from taming.sampling.windows import window_at

CLASSES = CONDITIONS["class"]


@st.composite
def visits(draw):
    """(cells, grid, size, condition): some cells of a grid, through windows of any size that fits."""
    size = draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    grid = (size[0] + draw(st.integers(0, 8)), size[1] + draw(st.integers(0, 12)))
    step = draw(st.sampled_from([1, 2, 3, 7]))  # many known cells leave far more waves to choose from
    is_wanted = draw(st.lists(st.integers(0, step - 1), min_size=grid[0] * grid[1], max_size=grid[0] * grid[1]))
    kind = draw(st.sampled_from(sorted(CONDITIONS)))
    return [cell for cell, number in enumerate(is_wanted) if number == 0], grid, size, CONDITIONS[kind]


def cells_of(window):
    columns = range(window.left, window.left + window.width)
    return [
        row * window.grid[1] + column for row in range(window.top, window.top + window.height) for column in columns
    ]


@settings(max_examples=150, deadline=None)
@given(visits())
def test_a_cell_comes_after_all_that_its_window_shows_before_it(visit):
    cells, grid, size, condition = visit
    waves = plan_waves(*visit)
    wave_of = {cell: number for number, wave in enumerate(waves) for cell in wave}
    assert sorted(cell for wave in waves for cell in wave) == cells
    for cell in cells:
        shown = cells_of(window_at(cell, grid, size, condition))
        assert all(wave_of[other] < wave_of[cell] for other in shown if other < cell and other in wave_of)
    assert all(1 <= len(wave) <= math.ceil(grid[1] / size[1]) for wave in waves)


@settings(max_examples=100, deadline=None)
@given(visit=visits(), room=st.sampled_from([None, 0, 1, 3]))
def test_reads_bring_all_before_a_cell_once_for_as_long_as_its_window_is_kept(visit, room):
    cells, grid, size, condition = visit
    held = {}
    plan = plan_reads(plan_waves(*visit), grid, size, condition, room=room)
    for number, wave in enumerate(plan):
        for read in wave:
            assert read.is_new == (read.window not in held)
            there = held.setdefault(read.window, [])
            assert len(there) == read.start
            there += cells_of(read.window)[read.start : read.end]
            assert there == [cell for cell in cells_of(read.window) if cell < read.cell]
            assert len(there) <= read.capacity
            if not read.is_kept:
                del held[read.window]
        if room is not None and number + 1 < len(plan):
            going_on = {read.window for read in plan[number + 1]}
            assert len(set(held) - going_on) <= room
    assert held == {}


@pytest.mark.parametrize(
    ("grid", "steps", "widest", "tokens"),
    [
        ((32, 32), 528, 2, 115_000),
        ((64, 64), 1072, 4, 950_000),
        ((128, 64), 2096, 4, 2_180_000),
        ((64, 128), 1136, 8, 2_180_000),
    ],
)
def test_the_counts_are_the_theoretical_ones(grid, steps, widest, tokens):
    """Serial steps are 16 for each row but the first and one for each column; tokens are those of a prototype."""
    waves = plan_waves(range(grid[0] * grid[1]), grid, (16, 16), CONDITIONS["segmentation"])
    counts = count_reads(plan_reads(waves, grid, (16, 16), CONDITIONS["segmentation"]), 256)
    assert counts.steps == steps == 16 * (grid[0] - 1) + grid[1]
    assert max(counts.batch_sizes) == widest == grid[1] // 16
    assert sum(size * number for size, number in counts.batch_sizes.items()) == grid[0] * grid[1]
    assert counts.tokens == pytest.approx(tokens, rel=0.01)
    assert counts.windows <= widest + grid[1] - 16 + 1


def test_without_waves_a_window_is_read_as_often_and_each_step_is_one_cell():
    grid, size = (32, 32), (16, 16)
    one_by_one = count_reads(plan_reads([[cell] for cell in range(1024)], grid, size, CLASSES), 256)
    waves = count_reads(plan_reads(plan_waves(range(1024), grid, size, CLASSES), grid, size, CLASSES), 256)
    assert (one_by_one.steps, one_by_one.batch_sizes) == (1024, {1: 1024})
    assert one_by_one.tokens == waves.tokens


def test_less_room_costs_tokens_and_saves_windows():
    grid, size = (32, 32), (16, 16)
    waves = plan_waves(range(1024), grid, size, CLASSES)
    counts = [count_reads(plan_reads(waves, grid, size, CLASSES, room=room), 1) for room in (None, 8, 0)]
    assert counts[0].tokens < counts[1].tokens < counts[2].tokens
    assert counts[0].windows > counts[1].windows > counts[2].windows


def test_a_grid_of_one_window_is_read_once_cell_by_cell():
    cells = [2, 3, 7, 11]
    assert plan_waves(cells, (3, 4), (3, 4), CLASSES) == [[2], [3], [7], [11]]
    plan = plan_reads([[cell] for cell in cells], (3, 4), (3, 4), CLASSES)
    assert [(wave[0].start, wave[0].end, wave[0].is_kept) for wave in plan] == [
        (0, 2, True),
        (2, 3, True),
        (3, 7, True),
        (7, 11, False),
    ]
    assert count_reads(plan, 5).tokens == 11 + 5


def test_an_order_says_what_comes_before_a_cell():
    order = [3, 1, 0, 2]
    plan = plan_reads([[1], [2]], (2, 2), (2, 2), CLASSES, order)
    assert [(wave[0].cell, wave[0].start, wave[0].end) for wave in plan] == [(1, 0, 1), (2, 1, 3)]


def test_planning_asks_often_whether_to_go_on_and_ends_when_told():
    """A grid of 2048 x 2048 took minutes to plan, in which nobody could cancel it."""
    grid, asked = (64, 64), []

    def check() -> None:
        asked.append(1)
        if len(asked) == 100:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        plan_reads(plan_waves(range(64 * 64), grid, (16, 16), CLASSES, check), grid, (16, 16), CLASSES, check=check)
    assert len(asked) == 100  # 64 of them for the rows of the grid, the others for waves
