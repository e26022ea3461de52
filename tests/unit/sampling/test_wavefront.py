"""Grids of any size: the sliding window is the reference scripts', and fast equals slow."""

from itertools import accumulate

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
from peak_memory import peak_bytes
from taming.conditioning import Condition, MapPrefix, get_condition
from taming.errors import ConditionError, TokensError
from taming.models import Transformer, TransformerConfig
from taming.sampling import SamplingOptions, generate, item_seed, sample_grid
from taming.sampling.decoder import Decoder
from taming.sampling.grid import TokenGrid
from taming.sampling.schedule import max_open_windows, plan_reads, schedule, schedule_cost
from taming.sampling.seeds import CellNoise
from taming.sampling.wavefront import WindowCaches, wavefront_decode
from taming.sampling.windows import window_at

PLAIN = SamplingOptions()


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


@pytest.mark.parametrize("kind", sorted(CONDITIONS))
@pytest.mark.parametrize("grid", [(4, 4), (5, 7)])
def test_parts_of_a_batch_are_drawn_as_the_whole(kind, grid):
    condition = condition_for(build(kind, (4, 4)), grid, 5)
    indices = torch.randint(CODES, (5, *grid), generator=torch.Generator().manual_seed(1))
    known = torch.rand(5, *grid, generator=torch.Generator().manual_seed(2)) < 0.4
    whole = generate(condition, indices, known, seed=9)
    parts = [slice(0, 2), slice(2, 3), slice(3, 6)]
    drawn = [
        generate(condition.some(part), indices[part], known[part], seed=9, first_item=part.start) for part in parts
    ]
    assert torch.equal(torch.cat(drawn), whole)
    assert whole.unique(dim=0).shape[0] == 5


def test_parts_of_a_batch_keep_their_contexts_and_their_guidance():
    transformer = build_deep("class", (4, 4), context_dim=6)
    context = torch.randn(3, 2, 6, generator=torch.Generator().manual_seed(3))
    condition = get_condition(transformer, [0, 1, 2], context=context)
    assert condition.null_prefix is not None
    unknown = torch.zeros(3, 4, 4, dtype=torch.int64)
    settings = {"options": SamplingOptions(guidance_scale=2.0), "seed": 4}
    whole = generate(condition, unknown, unknown.bool(), **settings)
    last = slice(1, 3)
    drawn = generate(condition.some(last), unknown[last], unknown[last].bool(), **settings, first_item=1)
    assert torch.equal(drawn, whole[1:])


def test_guidance_slides_along():
    transformer = build("class", (4, 4))
    grid = {"grid": (4, 9), "seed": 1}
    told, untold = get_condition(transformer, 1), get_condition(transformer)
    assert torch.equal(
        sample_grid(told, **grid, options=SamplingOptions(guidance_scale=0.0)), sample_grid(untold, **grid)
    )


def build_deep(kind, window, **changes):
    """Two layers: in the second, keys and values depend on all that was read before them."""
    config = TransformerConfig(**{**vars(build(kind, window).config), "n_layer": 2, **changes})
    transformer, generator = Transformer(config).eval(), torch.Generator().manual_seed(6)
    for parameter in transformer.parameters():
        torch.nn.init.normal_(parameter, std=0.8, generator=generator)
    return transformer


def one_by_one(condition, indices, known, options=PLAIN, seed=0, room=None):
    """The sequential rule: what `generate` draws, in raster order."""
    transformer, grid = condition.transformer, tuple(known.shape[1:])
    wanted = bytes((~known).any(0).flatten().tolist())
    waves = ([cell] for cell, is_wanted in enumerate(wanted) if is_wanted)
    config = transformer.config
    plan = plan_reads(waves, wanted, grid, config.grid, config.condition, room=room)
    noise = CellNoise(seed, range(len(known)), grid[1], config.vocab_size, indices.device)
    tokens = TokenGrid(indices, known, (), lambda *_: None)
    with torch.inference_mode():
        wavefront_decode(Decoder(condition, options.guidance_scale), tokens, plan, options, noise)
    return tokens.indices.view_as(indices)


def some_tokens(batch, grid, share_known):
    generator = torch.Generator().manual_seed(11)
    indices = torch.randint(CODES, (batch, *grid), generator=generator)
    return indices, torch.rand(batch, *grid, generator=generator) < share_known


@settings(max_examples=15, deadline=None)
@given(
    kind=st.sampled_from(sorted(CONDITIONS)),
    window=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    extra=st.tuples(st.integers(0, 6), st.integers(0, 11)),
    batch=st.integers(1, 3),
    share_known=st.sampled_from([0.0, 0.5, 0.95]),
    temperature=st.sampled_from([0.0, 1.0]),
)
def test_waves_draw_what_one_cell_after_the_other_draws(kind, window, extra, batch, share_known, temperature):
    """Odd windows and flat ones too, of which the scripts know nothing."""
    grid = (window[0] + extra[0], window[1] + extra[1])
    condition = condition_for(build_deep(kind, window), grid, batch)
    indices, known = some_tokens(batch, grid, share_known)
    options = SamplingOptions(temperature)
    expected = one_by_one(condition, indices, known, options, seed=4)
    assert torch.equal(generate(condition, indices, known, options=options, seed=4), expected)


@pytest.mark.parametrize("guidance_scale", [1.0, 2.5])
@pytest.mark.parametrize("n_unmasked", [0, 1])
def test_guidance_and_a_context_go_with_the_waves(guidance_scale, n_unmasked):
    transformer = build_deep("class", (4, 4), context_dim=6, n_unmasked=n_unmasked)
    context = torch.randn(2, 3, 6, generator=torch.Generator().manual_seed(1))
    condition = get_condition(transformer, [1, 4], context=context)
    indices, known = some_tokens(2, (7, 13), 0.3)
    options = SamplingOptions(guidance_scale=guidance_scale)
    drawn = generate(condition, indices, known, options=options)
    assert torch.equal(drawn, one_by_one(condition, indices, known, options))
    alone = get_condition(transformer, [4], context=context[1:])
    second = generate(alone, indices[1:], known[1:], options=options, seed=item_seed(0, 1))
    assert torch.equal(drawn[1:], second)


def test_a_condition_seen_in_both_directions_goes_with_the_waves():
    transformer, plain = (build_deep("segmentation", (4, 4), n_unmasked=number) for number in (16, 0))
    condition = condition_for(transformer, (6, 11), 2)
    indices, known = some_tokens(2, (6, 11), 0.2)
    drawn = generate(condition, indices, known)
    assert torch.equal(drawn, draw_by_script(condition, indices, known, PLAIN, 0))
    assert not torch.equal(drawn, generate(condition_for(plain, (6, 11), 2), indices, known))


@pytest.mark.parametrize("room", [0, 2])
def test_windows_that_find_no_room_are_read_again_to_the_same_end(room):
    condition = condition_for(build_deep("coordinates", (4, 4)), (8, 9), 1)
    indices, known = some_tokens(1, (8, 9), 0.1)
    expected = one_by_one(condition, indices, known)
    assert torch.equal(one_by_one(condition, indices, known, room=room), expected)


@pytest.mark.parametrize("grid", [(3, 9), (9, 3)])
def test_a_grid_smaller_one_way_and_larger_the_other_ends_with_its_last_cell(grid):
    """Cells that only fill the window up were sampled to the last of them, and counted beyond the total."""
    condition, seen = condition_for(build("class", (4, 4)), grid, 1), []
    unknown = torch.zeros(1, *grid, dtype=torch.int64)
    generate(condition, unknown, unknown.bool(), callback=lambda *step: seen.append(step[:2]))
    assert seen[-1][0] == seen[-1][1]


def test_the_callback_counts_cells_and_is_called_once_a_wave():
    class Interrupt(BaseException):
        pass

    condition = condition_for(build("class", (4, 4)), (6, 12), 2)
    indices, known = some_tokens(2, (6, 12), 0.2)
    seen = []
    drawn = generate(condition, indices, known, callback=lambda *step: seen.append(step))
    plan = list(schedule(condition.transformer, known, guided=False))
    total = int((~known).any(0).sum())
    assert [done for done, *_ in seen] == list(accumulate(len(wave) for wave in plan))
    assert {step[1] for step in seen} == {total} and seen[-1][0] == total and len(seen) < total
    assert torch.equal(seen[-1][2], drawn) and seen[-1][3].all()
    for wave, before, after in zip(plan[1:], seen, seen[1:], strict=False):
        new = (after[3] & ~before[3]).any(0).flatten().nonzero()[:, 0].tolist()
        assert new == sorted(read.cell for read in wave)

    def stop(done, *_):
        if done > 9:
            raise Interrupt

    with pytest.raises(Interrupt):
        generate(condition, indices, known, callback=stop)


@pytest.mark.parametrize("is_counted", [True, False])
def test_as_many_windows_are_in_memory_as_are_announced(is_counted, monkeypatch):
    if not is_counted:  # as for grids that are too large to count in
        monkeypatch.setattr("taming.sampling.schedule.EAGER_CELLS", 0)
    transformer = build("class", (4, 4))
    condition, most = condition_for(transformer, (7, 13), 1), []
    indices, known = some_tokens(1, (7, 13), 0.1)
    logits = WindowCaches.logits

    def counted(windows, step):
        going_on = {each.window for each in step}
        most.append(len(going_on | windows.caches.keys()))
        return logits(windows, step)

    monkeypatch.setattr(WindowCaches, "logits", counted)
    generate(condition, indices, known)
    announced = max_open_windows(transformer, known, guided=False)
    assert 4 < max(most) <= announced <= (max(most) if is_counted else 24)


@pytest.mark.parametrize("kind", ["class", "coordinates"])
def test_the_largest_picture_draws_its_first_token_at_once_and_in_little_memory(kind):
    """16384 px of 8 px a token: the plan alone took 3.5 GB, the map of coordinates 3."""

    class Enough(BaseException):
        pass

    def stop(*_: object) -> None:
        raise Enough

    transformer = build(kind, (4, 4))
    condition, unknown = condition_for(transformer, (2048, 2048), 1), torch.zeros(1, 2048, 2048, dtype=torch.int64)

    def draw() -> None:
        with pytest.raises(Enough):
            generate(condition, unknown, unknown.bool(), callback=stop)

    assert peak_bytes(draw) < 300 * 2**20


def test_a_window_is_read_once_and_no_more_of_it_than_is_needed():
    transformer = build("segmentation", (4, 4))
    lengths = []
    transformer.blocks[0].register_forward_pre_hook(lambda _, inputs: lengths.append(inputs[0].shape[1]))
    condition = condition_for(transformer, (6, 11), 1)
    indices, known = some_tokens(1, (6, 11), 0.0)
    generate(condition, indices, known)
    plan = list(schedule(transformer, known, guided=False))
    assert len(lengths) == len(plan) == 4 * 5 + 11
    assert sum(lengths) == schedule_cost(plan, 16).tokens
    assert sum(read.is_new for wave in plan for read in wave) == 3 * 8  # windows that the grid has


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
