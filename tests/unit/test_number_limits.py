"""Numbers that cannot be meant are refused in words by the library and the command line, before they take memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from command_line import refusal
from oracles.sliding_window import build
from peak_memory import peak_bytes
from taming.conditioning import get_condition
from taming.errors import ConfigError, TamingError
from taming.sampling import MAX_CELLS, SamplingOptions, check_cells, choose_cells, forget_cells, pad_cells, sample_grid
from taming.text import shorten
from taming.training.recipe import read_recipe

HUGE = 1_125_899_906
TRANSFORMER = build("class", (4, 4))
GRID = torch.zeros(1, 4, 4, dtype=torch.int64)

TAKES_NUMBER: dict[str, Callable[[int], object]] = {
    "grid": lambda number: sample_grid(get_condition(TRANSFORMER, 0), grid=(number, 4)),
    "num_steps": lambda number: TRANSFORMER.sample(get_condition(TRANSFORMER, 0), number),
    "batch_size": lambda number: get_condition(TRANSFORMER, 0, batch_size=number),
    "left": lambda number: pad_cells(GRID, GRID.bool(), number, 0, 0, 0),
    "bottom": lambda number: pad_cells(GRID, GRID.bool(), 0, 0, 0, number),
    "grow_px": lambda number: forget_cells(torch.ones(1, 8, 8), (1, 4, 4), 2, number),
    "patch": lambda number: choose_cells((1, 4, 4), 0.5, 0, None, number),
    "seed": lambda number: choose_cells((1, 4, 4), 0.5, number),
    "strength": lambda number: choose_cells((1, 4, 4), number),
    "top_k": lambda number: SamplingOptions(top_k=number),
    "temperature": lambda number: SamplingOptions(temperature=number),
    "guidance_scale": lambda number: SamplingOptions(guidance_scale=number),
}


@pytest.mark.parametrize("name", TAKES_NUMBER)
@settings(max_examples=25, deadline=None)
@given(number=st.one_of(st.integers(max_value=-1), st.integers(min_value=2**33), st.just(10**5000)))
def test_any_absurd_number_is_refused_in_words_or_does_no_harm(name: str, number: int):
    def use() -> None:
        torch.empty(1)  # the profiler wants to see some tensor
        try:
            TAKES_NUMBER[name](number)
        except TamingError as error:
            assert shorten(number)[:6] in str(error), error

    assert peak_bytes(use) < 2**20


@pytest.mark.parametrize("sizes", [(4096, 2048, 2048), (1, HUGE, 16), (HUGE, 1, 1), (0, 1, 1), (1, -64, 1)])
def test_grids_are_limited_by_all_their_cells_together(sizes: tuple[int, int, int]):
    with pytest.raises(TamingError, match=r"more than the limit of 16777216|must be 1 or more"):
        check_cells(*sizes)


@pytest.mark.parametrize("sizes", [(1, 2048, 2048), (4096, 64, 64), (4, 2048, 2048), (1, 1, MAX_CELLS)])
def test_the_largest_picture_and_the_largest_batch_are_no_mistakes(sizes: tuple[int, int, int]):
    check_cells(*sizes)


def test_forgetting_patches_of_many_pictures_takes_no_more_memory_than_of_one():
    """Each takes 126 cells more than the grid on each side: a batch of 4096 took 4 GB."""
    assert peak_bytes(lambda: choose_cells((100, 8, 8), 0.5, patch=64)) < 4 * 2**20


def test_a_step_of_more_pixels_than_memory_holds_is_refused():
    with pytest.raises(ConfigError, match=r"phases: 1000000 pictures of 256 px in a step .* smaller batch_size"):
        read_recipe("pictures_class", ["data.folder=x", "first_stage=x", "phases.0.batch_size=1000000"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--width", str(HUGE)], f"{HUGE}x128 px are more than the limit of 268435456 pixels"),
        (["--width", "16384", "--height", "16384", "--batch-size", "4096"], "4096 x 2048 x 2048 tokens"),
        (["--batch-size", str(HUGE)], f"{HUGE} x 16 x 16 tokens"),
        (["--batch-size", "0"], "--batch-size is 0"),
        (["--width", "-64"], "--width is -64"),
        (["--top-k", "1" + "0" * 400], "top_k is 1000"),
        (["--temperature", "1e300"], "temperature is 1e+300"),
        (["--temperature", "nan"], "temperature is nan"),
    ],
)
def test_sample_refuses_numbers_before_it_draws(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "out"
    assert said in refusal(["sample", "--label", "alpine", "--out", str(out), *options], capsys)
    assert not out.exists()
