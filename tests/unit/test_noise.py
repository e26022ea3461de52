"""The noise that draws: the same however it is asked for, and made once."""

from __future__ import annotations

import pytest
import torch

from taming.errors import ConfigError
from taming.sampling import choose_cells, seeds
from taming.sampling.seeds import CellNoise, cell_ranks

CPU = torch.device("cpu")


@pytest.mark.parametrize("width", [1, 16, 64, 65, 200])
def test_noise_does_not_depend_on_the_order_in_which_it_is_asked_for(width: int):
    """Wide rows are made in parts; jumping back begins a row anew."""
    cells = torch.randperm(3 * width, generator=torch.Generator().manual_seed(0)).tolist()
    in_order = CellNoise(5, range(2), width, 7, CPU).at(range(3 * width))
    noise = CellNoise(5, range(2), width, 7, CPU)
    found = torch.cat([noise.at(cells[start : start + 4]) for start in range(0, len(cells), 4)], dim=1)
    assert torch.equal(found, in_order[:, cells])


def test_a_row_is_one_stream_of_random_numbers_whatever_its_width():
    """So the pictures of a seed did not change when wide rows came to be made in parts."""
    wide = CellNoise(5, range(1), 200, 7, CPU).at(range(200))
    assert torch.equal(CellNoise(5, range(1), 64, 7, CPU).at(range(64)), wide[:, :64])


def test_rows_of_a_wide_grid_that_are_drawn_in_turns_are_made_once(monkeypatch: pytest.MonkeyPatch):
    """At 16384 px every wave of 128 cells made 128 whole rows again: seconds each."""
    made: list[int] = []
    rand = torch.rand

    def counted(shape: tuple[int, ...], **options: object) -> torch.Tensor:
        made.append(shape[0])
        return rand(shape, **options)  # pyright: ignore[reportCallIssue, reportArgumentType]

    monkeypatch.setattr(torch, "rand", counted)
    monkeypatch.setattr(seeds, "_KEPT_BYTES", 0)
    width, rows, lag = 200, 16, 10
    noise = CellNoise(0, range(1), width, 8, CPU)
    for step in range(width + lag * (rows - 1)):
        columns = [step - lag * row for row in range(rows)]
        noise.at([row * width + column for row, column in enumerate(columns) if 0 <= column < width])
    assert sum(made) == rows * width


@pytest.mark.parametrize("seed", [2**64, -(2**63) - 1, pytest.param(10**5000, id="endless")])
def test_a_seed_that_no_generator_takes_is_refused_in_words(seed: int):
    with pytest.raises(ConfigError, match="^seed is .*; it must be a whole number from 0 to 18446744073709551615"):
        CellNoise(seed, range(1), 4, 4, CPU)
    with pytest.raises(ConfigError, match="^seed is "):
        choose_cells((1, 4, 4), 0.5, seed)


@pytest.mark.parametrize("seed", [0, -1, 2**64 - 1])
def test_seeds_at_the_limits_draw(seed: int):
    assert CellNoise(seed, range(1), 4, 4, CPU).at([0]).isfinite().all()
    assert sorted(cell_ranks(9, seed, item=0).tolist()) == list(range(9))
