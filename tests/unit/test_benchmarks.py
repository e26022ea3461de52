"""What the figures of the benchmarks rest on: which samples count, who goes first, what a flip is."""

from __future__ import annotations

import time
from contextlib import suppress
from inspect import signature
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFont
from torch.nn.modules.module import register_module_forward_hook

from benchmarks.bars import OURS, draw_bars
from benchmarks.bench_codec import compare as compare_codecs
from benchmarks.bench_windows import ONE_BY_ONE, WAVES, Work, make_transformer, measure, theory
from benchmarks.check_equality import (
    LARGER_GRID,
    Tally,
    compare,
    draw,
    draw_one_by_one,
    noise_of,
    read_anew,
    tell,
)
from benchmarks.codec_rows import OURS as OUR_CODEC
from benchmarks.codec_rows import OURS_CHANNELS_FIRST, REFERENCE, inputs
from benchmarks.codec_rows import make_contender as make_codec
from benchmarks.machine import Rates, Sample, Stat, foreign_share, read_stat, summarize_rates, take_sample
from benchmarks.peers import draw_with_gpt2, give_gpt2, has_transformers, make_gpt2
from benchmarks.rounds import ratio, summarize, take_turns, try_compiled
from benchmarks.token_rows import (
    PLAIN,
    SHAPES,
    NotMeasured,
    count_operations,
    count_weights,
    make_config,
    make_contender,
    make_weights,
    names,
)
from taming import get_condition
from taming.conditioning import ClassCondition
from taming.configs.sampling import PLAIN as PLAIN_SAMPLING
from taming.models import PRECISIONS, Transformer
from taming.sampling.filters import sample_next


def test_what_others_took_is_what_was_busy_and_not_our_own():
    before, after = Stat(1000, 5000), Stat(1150, 5200)  # 2 cores for a second: 150 of 200 ticks busy
    assert foreign_share(before, after, own_seconds=1.0) == pytest.approx(0.25)
    assert foreign_share(before, after, own_seconds=1.6) == 0.0  # the clocks differ by a tick or two


def test_a_sample_too_short_for_the_kernels_ticks_is_not_judged():
    assert foreign_share(Stat(1000, 5000), Stat(1010, 5010), own_seconds=0.0) is None
    assert foreign_share(None, None, own_seconds=1.0) is None


def test_time_stolen_by_the_hypervisor_counts_as_busy(tmp_path: Path):
    file = tmp_path / "stat"
    file.write_text("cpu  1 2 3 100 50 4 5 6 7 8\ncpu0 0 0 0 0\n")
    assert read_stat(file) == Stat(busy=1 + 2 + 3 + 4 + 5 + 6, total=171)
    assert read_stat(tmp_path / "missing") is None


def test_samples_taken_under_foreign_load_are_dropped_and_counted():
    row = summarize([Sample(1.0, 0.0), Sample(9.0, 0.5), Sample(3.0, None), Sample(2.0, 0.1)])
    assert (row["median_s"], row["min_s"], row["max_s"]) == (2.0, 1.0, 3.0)
    assert (row["n"], row["dropped"]) == (3, 1)
    assert row["foreign"] == [0.0, 0.5, None, 0.1]


def test_nothing_is_claimed_where_every_sample_was_dropped():
    figures = {"slow": summarize([Sample(4.0, 0.0)]), "fast": summarize([Sample(1.0, 0.9)])}
    assert "median_s" not in figures["fast"]
    assert ratio(figures, "slow", "fast") is None
    assert ratio(figures, "slow", "never run") is None
    assert ratio(figures, "slow", "slow") == 1.0
    assert summarize_rates([]) == {}


def test_turns_alternate_in_direction_and_the_first_round_does_not_count():
    calls: list[str] = []
    samples = take_turns({name: lambda name=name: calls.append(name) for name in "abc"}, rounds=3)
    assert "".join(calls) == "cba" + "abc" + "cba" + "abc"
    assert {name: len(taken) for name, taken in samples.items()} == {"a": 3, "b": 3, "c": 3}


def test_a_short_warm_up_can_take_the_place_of_the_first_round():
    calls: list[str] = []
    steps = {name: lambda name=name: calls.append(name) for name in "ab"}
    take_turns(steps, rounds=1, warm_up={"a": lambda: calls.append("few")})
    assert calls == ["few", "a", "b"]


def test_what_cannot_be_compiled_is_named_and_left_out(capsys: pytest.CaptureFixture[str]):
    def fail() -> None:
        raise RuntimeError("no compiler\nmany more lines")

    assert try_compiled({"a": fail, "b": lambda: None, "eager": fail}, ["a", "b", "missing"]) == {"a": "no compiler"}
    assert capsys.readouterr().out == "a: not measured: no compiler\n"


def test_a_step_may_tell_its_own_time():
    samples = take_turns({"a": lambda: 7.0}, rounds=2, take=lambda step: Sample(float(str(step())), None))
    assert [sample.seconds for sample in samples["a"]] == [7.0, 7.0]


def test_a_sample_is_as_long_as_its_step():
    sample = take_sample(lambda: time.sleep(0.05))
    assert 0.05 <= sample.seconds < 5.0


def test_rates_of_several_rounds_are_taken_together():
    rates = summarize_rates([Rates([10.0, 30.0], [100.0]), Rates([20.0], [300.0])])
    assert (rates["read_best_gb_s"], rates["read_median_gb_s"]) == (30.0, 20.0)
    assert (rates["sgemm_best_gflop_s"], rates["sgemm_median_gflop_s"]) == (300.0, 200.0)


@pytest.fixture(scope="module")
def tiny() -> Transformer:
    return make_weights(make_config("tiny"))


def test_weight_bytes_are_those_of_the_linear_layers(tiny: Transformer):
    linear = [module for module in tiny.modules() if isinstance(module, torch.nn.Linear)]
    assert count_weights(tiny.config) == sum(layer.weight.numel() for layer in linear)


def test_the_large_shape_is_that_of_the_published_transformers():
    with torch.device("meta"):
        large = Transformer(make_config("large"))
    assert (large.config.n_layer, large.config.n_head, large.config.n_embd) == SHAPES["large"]
    assert round(count_weights(large.config) / 1e6) == 303


def test_there_is_a_row_for_every_precision_that_can_be_asked_for(tiny: Transformer):
    assert {f"taming, {precision}" for precision in PRECISIONS if precision != "auto"} | {PLAIN} == {
        name for name in names() if name.startswith("taming")
    }


def test_making_a_contender_leaves_the_weights_of_the_others_alone(tiny: Transformer):
    """Packing replaces the layers of a transformer."""
    before = {key: weight.clone() for key, weight in tiny.state_dict().items()}
    for name in names():
        if name.startswith("taming"):
            with suppress(NotMeasured):
                assert make_contender(name, tiny.config, tiny).draw(2, 5, False).shape == (2, 5)
    after = tiny.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[key], weight) for key, weight in before.items())


def test_operations_are_counted_per_token_whatever_the_prefix(tiny: Transformer):
    contender = make_contender(PLAIN, tiny.config, tiny)
    counted = count_operations(contender, 4, 8)
    assert 0 < counted["called"] < counted["dispatched"]
    assert counted["called"] == pytest.approx(count_operations(contender, 4, 16)["called"], rel=0.05)


@pytest.mark.skipif(not has_transformers(), reason="the package transformers is not installed")
def test_gpt2_with_our_weights_draws_our_likeliest_tokens(tiny: Transformer):
    gpt2 = make_gpt2(tiny.config)
    give_gpt2(gpt2, tiny)
    ours = tiny.sample(get_condition(tiny), 24, temperature=0)
    assert ours.unique().numel() > 5
    start = torch.zeros(1, 1, dtype=torch.int64)
    for static in (False, True):
        assert torch.equal(draw_with_gpt2(gpt2, start, 24, greedy=True, static=static), ours)


@pytest.fixture(scope="module")
def drawer() -> Transformer:
    return make_transformer(layers=1, heads=2, width=32, condition=ClassCondition(num_classes=12))


def test_a_grid_counts_up_to_its_first_flip_whose_margin_is_told(drawer: Transformer):
    grid = drawer.config.grid
    expected = draw(drawer, grid, 3)
    drawn = expected.clone()
    drawn[10:] = (drawn[10:] + 1) % 1024  # all that follows a flip is another picture
    tally = Tally()
    compare(drawer, grid, expected, expected, 3, tally)
    compare(drawer, grid, expected, drawn, 3, tally)
    assert (tally.grids, tally.tokens, len(tally.flips)) == (2, 256 + 11, 1)
    flip = tally.flips[0]
    assert flip.position == 10
    assert flip.draw_apart > 1e-6  # no float noise


def test_a_flip_in_a_grid_larger_than_the_window_is_read_through_the_window(drawer: Transformer):
    """Its margin would be nonsense if the logits were those of another place."""
    expected = draw_one_by_one(drawer, LARGER_GRID, 0)
    cell = LARGER_GRID[1] * 20 + 19  # the window of this one is in the middle
    logits = read_anew(tell(drawer, 0), LARGER_GRID, expected, cell)
    noise = noise_of(drawer, LARGER_GRID, 0).at([cell])[:, 0]
    assert sample_next(logits, PLAIN_SAMPLING, noise) == expected[cell]


def test_waves_and_one_by_one_are_both_measured_and_draw_the_same(capsys: pytest.CaptureFixture[str]):
    found = measure(make_transformer(1, 2, 32), None, Work(20, 1, range(9, 11)), 4)
    assert set(found["seconds"]) == {WAVES, ONE_BY_ONE}
    assert found["equal_tokens"] == {"seeded, one by one beside waves": 1.0}
    assert found["counts"][WAVES]["steps"] == theory((20, 20))["steps_in_waves"]
    assert 0 < found["seconds"][ONE_BY_ONE]["share_timed"] < 1 == found["seconds"][WAVES]["share_timed"]
    assert "20 x 20" in capsys.readouterr().out


def test_the_other_layout_of_our_tokenizer_decodes_the_same_picture():
    ours, other = (decode_watched(name) for name in (OUR_CODEC, OURS_CHANNELS_FIRST))
    assert torch.allclose(ours[0], other[0], atol=1e-5)
    assert all(other[1]) and not all(ours[1])


def decode_watched(name: str) -> tuple[torch.Tensor, list[bool]]:
    """A picture, and whether each layer on the way to it left its channels first."""
    decode, layouts = make_codec(name, "tiny").decode, []
    hook = register_module_forward_hook(lambda module, _, out: layouts.append(out.is_contiguous()))
    try:
        with torch.inference_mode():
            return decode(inputs("tiny", "decode", 32)), layouts
    finally:
        hook.remove()


def test_a_tokenizer_that_does_other_work_than_the_reference_is_not_timed():
    steps = {REFERENCE: lambda: torch.ones(3), OUR_CODEC: lambda: torch.full((3,), 1.1)}
    with pytest.raises(ValueError, match="off"):
        compare_codecs("decode", steps)


@pytest.mark.skipif("size" not in signature(ImageFont.load_default).parameters, reason="needs Pillow 10.1, as pinned")
def test_bars_are_as_long_as_their_values_and_ours_stand_out(tmp_path: Path):
    file = draw_bars({"a group": {"peer": 1.0, "taming": 2.0}}, "title", "taming", tmp_path / "bars.png")
    pixels = np.asarray(Image.open(file).convert("RGB"))
    ours = (pixels == np.array(OURS)).all(-1)
    theirs = (pixels == np.array((175, 180, 186))).all(-1)
    assert ours.any(0).sum() == pytest.approx(2 * theirs.any(0).sum(), abs=3)
