"""The schedule of a large grid: nothing is sampled before what it sees, and nothing is read twice needlessly."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles.sliding_window import CONDITIONS
from taming.sampling.schedule import plan_reads, plan_wavefronts, schedule_cost
from taming.sampling.windows import window_at

CLASSES = CONDITIONS["class"]


@st.composite
def visits(draw):
    """(wanted, grid, size, condition): some cells of a grid, through windows of any size that fits."""
    size = draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    grid = (size[0] + draw(st.integers(0, 8)), size[1] + draw(st.integers(0, 12)))
    step = draw(st.sampled_from([1, 2, 3, 7]))  # many known cells leave far more waves to choose from
    is_wanted = draw(st.lists(st.integers(0, step - 1), min_size=grid[0] * grid[1], max_size=grid[0] * grid[1]))
    kind = draw(st.sampled_from(sorted(CONDITIONS)))
    return bytes(number == 0 for number in is_wanted), grid, size, CONDITIONS[kind]


def plan(wanted, grid, size, condition, room=None):
    """What is read in each wave."""
    return list(plan_reads(plan_wavefronts(wanted, grid, size, condition), wanted, grid, size, condition, room=room))


def one_by_one(wanted, grid, size, condition):
    waves = ([cell] for cell in range(len(wanted)) if wanted[cell])
    return list(plan_reads(waves, wanted, grid, size, condition))


def whole(grid):
    return b"\1" * (grid[0] * grid[1])


def cells_of(window):
    columns = range(window.left, window.left + window.width)
    return [
        row * window.grid[1] + column for row in range(window.top, window.top + window.height) for column in columns
    ]


@settings(max_examples=150, deadline=None)
@given(visits())
def test_a_cell_comes_after_all_that_its_window_shows_before_it(visit):
    wanted, grid, size, condition = visit
    cells = [cell for cell, is_wanted in enumerate(wanted) if is_wanted]
    waves = list(plan_wavefronts(*visit))
    wave_of = {cell: number for number, wave in enumerate(waves) for cell in wave}
    assert sorted(cell for wave in waves for cell in wave) == cells
    for cell in cells:
        shown = cells_of(window_at(cell, grid, size, condition))
        assert all(wave_of[other] < wave_of[cell] for other in shown if other < cell and other in wave_of)
    assert all(1 <= len(wave) <= math.ceil(grid[1] / size[1]) for wave in waves)


@settings(max_examples=100, deadline=None)
@given(visit=visits(), room=st.sampled_from([None, 0, 1, 3]))
def test_reads_bring_all_before_a_cell_once_for_as_long_as_its_window_is_kept(visit, room):
    held, planned = {}, plan(*visit, room)
    for number, wave in enumerate(planned):
        for read in wave:
            assert read.is_new == (read.window not in held)
            there = held.setdefault(read.window, [])
            assert len(there) == read.start
            there += cells_of(read.window)[read.start : read.end]
            assert there == [cell for cell in cells_of(read.window) if cell < read.cell]
            assert len(there) <= read.capacity
            if not read.is_kept:
                del held[read.window]
        if room is not None and number + 1 < len(planned):
            going_on = {read.window for read in planned[number + 1]}
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
def test_the_costs_are_the_theoretical_ones(grid, steps, widest, tokens):
    """Serial steps are 16 for each row but the first and one for each column; tokens are those of a prototype."""
    counts = schedule_cost(plan(whole(grid), grid, (16, 16), CONDITIONS["segmentation"]), 256)
    assert counts.steps == steps == 16 * (grid[0] - 1) + grid[1]
    assert max(counts.batch_sizes) == widest == grid[1] // 16
    assert sum(size * number for size, number in counts.batch_sizes.items()) == grid[0] * grid[1]
    assert counts.tokens == pytest.approx(tokens, rel=0.01)
    assert counts.windows <= widest + grid[1] - 16 + 1


def test_without_waves_a_window_is_read_as_often_and_each_step_is_one_cell():
    work = (whole((32, 32)), (32, 32), (16, 16), CLASSES)
    alone, waves = schedule_cost(one_by_one(*work), 256), schedule_cost(plan(*work), 256)
    assert (alone.steps, alone.batch_sizes) == (1024, {1: 1024})
    assert alone.tokens == waves.tokens


def test_less_room_costs_tokens_and_saves_windows():
    counts = [schedule_cost(plan(whole((32, 32)), (32, 32), (16, 16), CLASSES, room), 1) for room in (None, 8, 0)]
    assert counts[0].tokens < counts[1].tokens < counts[2].tokens
    assert counts[0].windows > counts[1].windows > counts[2].windows


def test_a_grid_of_one_window_is_read_once_cell_by_cell():
    wanted = bytes(cell in (2, 3, 7, 11) for cell in range(12))
    assert list(plan_wavefronts(wanted, (3, 4), (3, 4), CLASSES)) == [[2], [3], [7], [11]]
    planned = plan(wanted, (3, 4), (3, 4), CLASSES)
    assert [(wave[0].start, wave[0].end, wave[0].is_kept) for wave in planned] == [
        (0, 2, True),
        (2, 3, True),
        (3, 7, True),
        (7, 11, False),
    ]
    assert schedule_cost(planned, 5).tokens == 11 + 5


def test_planning_asks_in_every_row_whether_to_go_on_and_ends_when_told():
    """A grid of 2048 x 2048 took minutes to plan, in which nobody could cancel it."""
    grid, asked = (64, 64), []

    def check() -> None:
        asked.append(1)
        if len(asked) == 50:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(plan_wavefronts(whole(grid), grid, (16, 16), CLASSES, check=check))
    assert len(asked) == 50


@pytest.mark.parametrize("kind", ["class", "boxes"])
def test_a_huge_grid_is_planned_as_it_is_drawn(kind):
    """16384 px took 103 s and 3.5 GB before the first token; now a few of their 2048 rows are planned before it."""
    rows: list[int] = []
    grid, condition = (2048, 2048), CONDITIONS[kind]
    waves = plan_wavefronts(whole(grid), grid, (16, 16), condition, check=lambda: rows.append(1))
    reads = plan_reads(waves, whole(grid), grid, (16, 16), condition)
    assert [read.cell for read in next(reads)] == [0]
    assert len(rows) < 15
    for _ in range(100):
        next(reads)
    assert len(rows) < 20


@settings(max_examples=100, deadline=None)
@given(visit=visits(), few=st.integers(0, 9), most=st.integers(10, 40))
def test_a_plan_that_is_made_bit_by_bit_obeys_the_same_rules(visit, few, most):
    wanted, grid, size, condition = visit
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("taming.sampling.schedule.EAGER_CELLS", few)
        patch.setattr("taming.sampling.schedule.MAX_OPEN_CELLS", most)
        waves = list(plan_wavefronts(*visit))
        planned = plan(*visit)
    wave_of = {cell: number for number, wave in enumerate(waves) for cell in wave}
    assert sorted(wave_of) == [cell for cell, is_wanted in enumerate(wanted) if is_wanted]
    assert sum(map(len, waves)) == len(wave_of)
    for cell, number in wave_of.items():
        shown = cells_of(window_at(cell, grid, size, condition))
        assert all(wave_of[other] < number for other in shown if other < cell and other in wave_of)
    assert all(1 <= len(wave) <= math.ceil(grid[1] / size[1]) for wave in waves)
    assert [[read.cell for read in wave] for wave in planned] == waves


@pytest.mark.parametrize("grid", [(40, 64), (64, 40), (17, 100)])
def test_an_empty_grid_has_the_same_waves_however_little_is_planned_ahead(grid, monkeypatch):
    at_once = list(plan_wavefronts(whole(grid), grid, (16, 16), CLASSES))
    monkeypatch.setattr("taming.sampling.schedule.EAGER_CELLS", 0)
    assert list(plan_wavefronts(whole(grid), grid, (16, 16), CLASSES)) == at_once


def test_no_pattern_of_cells_makes_a_plan_wait_for_all_of_them(monkeypatch):
    """Where every row begins with a cell that waits for nothing, no wave is ever certain to be complete."""
    monkeypatch.setattr("taming.sampling.schedule.EAGER_CELLS", 50)
    monkeypatch.setattr("taming.sampling.schedule.MAX_OPEN_CELLS", 400)
    grid, rows = (200, 160), []
    wanted = bytearray(whole(grid))
    for row in range(grid[0]):  # the left half is known but for single cells that do not see each other
        wanted[row * 160 : row * 160 + 80] = bytes(80)
        wanted[row * 160 + 10 * (row % 8)] = 1
    next(plan_wavefronts(bytes(wanted), grid, (16, 16), CLASSES, check=lambda: rows.append(1)))
    assert len(rows) < 15
