"""Grids of any size: the sliding window is the reference scripts', and fast equals slow."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles.sliding_window import (
    CODES,
    CONDITIONS,
    build,
    condition_for,
    draw_by_script,
    reference_conditional,
    reference_scene,
)
from taming.conditioning import Condition, MapPrefix, get_condition
from taming.errors import ConditionError, TokensError
from taming.models import Transformer, TransformerConfig
from taming.sampling import SamplingOptions, generate, sample_grid
from taming.sampling.windows import window_at


@pytest.mark.parametrize("kind", ["segmentation", "boxes"])
def test_the_window_is_the_scripts_for_every_length_and_even_size(kind):
    rule = reference_scene if kind == "boxes" else reference_conditional
    for size in range(4, 17, 2):
        for length in range(size, 41):
            for cell in range(length):
                start, _ = rule(cell, length, size)
                assert window_at(cell * 20 + 3, (length, 20), (size, 20), CONDITIONS[kind]).top == start
                assert window_at(cell, (9, length), (9, size), CONDITIONS[kind]).left == start


def test_an_odd_window_stays_inside_and_holds_its_cell():
    """The scripts know 16 only; their rule taken literally leaves the grid at an odd size."""
    for size in range(3, 16, 2):
        for length in range(size, 41):
            for cell in range(length):
                window = window_at(cell, (1, length), (1, size), CONDITIONS["class"])
                assert 0 <= window.left <= cell < window.left + size <= length


sizes = st.sampled_from([4, 6, 8])


@settings(max_examples=25, deadline=None)
@given(
    kind=st.sampled_from(sorted(CONDITIONS)),
    window=st.tuples(sizes, sizes),
    extra=st.tuples(st.integers(0, 7), st.integers(0, 7)),
    batch=st.integers(1, 2),
    share_known=st.sampled_from([0.0, 0.4]),
    temperature=st.sampled_from([0.0, 1.0]),
)
def test_a_larger_grid_equals_the_scripts_loop(kind, window, extra, batch, share_known, temperature):
    grid = (window[0] + extra[0], window[1] + extra[1])
    transformer = build(kind, window)
    generator = torch.Generator().manual_seed(5)
    indices = torch.randint(CODES, (batch, *grid), generator=generator)
    known = torch.rand(batch, *grid, generator=generator) < share_known
    condition, options = condition_for(transformer, grid, batch), SamplingOptions(temperature)
    expected = draw_by_script(condition, indices, known, options, seed=9)
    assert torch.equal(generate(condition, indices, known, options=options, seed=9), expected)


@pytest.mark.parametrize("grid", [(5, 6), (2, 6), (5, 3), (1, 1), (9, 4), (3, 9)])
def test_a_smaller_grid_is_the_upper_left_part_of_a_whole_one(grid):
    transformer = build("class", (5, 6))
    condition = get_condition(transformer, [2, 3])
    whole_grid = (max(grid[0], 5), max(grid[1], 6))
    whole = sample_grid(condition, grid=whole_grid, seed=3)
    assert torch.equal(sample_grid(condition, grid=grid, seed=3), whole[:, : grid[0], : grid[1]])


@pytest.mark.parametrize("kind", sorted(CONDITIONS))
def test_every_kind_of_model_draws_small_grids_and_keeps_what_is_known(kind):
    transformer = build(kind, (4, 6))
    condition = condition_for(transformer, (3, 4), 2)
    indices = torch.full((2, 3, 4), 7)
    known = torch.zeros(2, 3, 4, dtype=torch.bool)
    known[0, 1], known[1, :, 2] = True, True
    drawn = generate(condition, indices, known)
    assert drawn.shape == (2, 3, 4) and drawn[known].eq(7).all()


def test_guidance_slides_along():
    transformer = build("class", (4, 4))
    grid = {"grid": (4, 9), "seed": 1}
    told, untold = get_condition(transformer, 1), get_condition(transformer)
    assert torch.equal(
        sample_grid(told, **grid, options=SamplingOptions(guidance_scale=0.0)), sample_grid(untold, **grid)
    )


def test_a_map_of_another_size_than_the_grid_is_refused():
    transformer = build("segmentation", (4, 4))
    condition = condition_for(transformer, (6, 6), 1)
    with pytest.raises(ConditionError, match="6 x 6 cells and the grid has 6 x 7"):
        sample_grid(condition, grid=(6, 7))


def test_a_scaled_map_goes_with_whole_grids_only():
    transformer = build("segmentation", (4, 4))
    condition = Condition(transformer, MapPrefix(torch.zeros(1, 2, 2, dtype=torch.int64), is_scaled=True), None, None)
    assert sample_grid(condition).shape == (1, 4, 4)
    with pytest.raises(ConditionError, match="one size only"):
        sample_grid(condition, grid=(4, 5))


def test_an_order_of_its_own_is_followed_and_needs_the_grid_it_was_made_for():
    order = tuple(torch.randperm(16, generator=torch.Generator().manual_seed(0)).tolist())
    plain = build("class", (4, 4))
    permuted = Transformer(TransformerConfig(**{**vars(plain.config), "order": order})).eval()
    permuted.load_state_dict(plain.state_dict())
    rows = sample_grid(get_condition(plain, 1), options=SamplingOptions(0)).flatten(1)  # (1, 16) in reading order
    assert torch.equal(sample_grid(get_condition(permuted, 1), options=SamplingOptions(0)).flatten(1)[:, order], rows)
    first = permuted.sample(get_condition(permuted, 1), num_steps=5, temperature=0)
    assert torch.equal(first, rows[:, :5])
    with pytest.raises(TokensError, match="order of its own"):
        sample_grid(get_condition(permuted, 1), grid=(4, 5))
