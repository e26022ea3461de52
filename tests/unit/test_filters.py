"""Logits filters and the draw, against what each is defined to do."""

import math

import pytest
import torch

from taming.errors import TamingError
from taming.sampling import SamplingOptions, filter_logits, sample_next
from taming.sampling.seeds import CellNoise


@pytest.fixture
def logits() -> torch.Tensor:
    return 2 * torch.randn(8, 50, generator=torch.Generator().manual_seed(0))


def kept(logits: torch.Tensor) -> torch.Tensor:
    return logits > -math.inf


def test_every_filter_is_off_by_default(logits):
    assert torch.equal(filter_logits(logits), logits)


def test_top_k_keeps_the_k_likeliest(logits):
    assert torch.equal(kept(filter_logits(logits, top_k=7)), logits >= logits.sort(-1).values[:, -7:-6])


def test_top_k_keeps_all_that_tie_for_the_last_place():
    logits = torch.tensor([[3.0, 1.0, 2.0, 2.0, 2.0, 0.0]])
    assert kept(filter_logits(logits, top_k=2)).tolist() == [[True, False, True, True, True, False]]


def test_top_k_above_the_vocabulary_keeps_everything(logits):
    assert kept(filter_logits(logits, top_k=1000)).all()


@pytest.mark.parametrize("top_p", [0.0, 0.3, 0.9])
def test_top_p_keeps_the_fewest_that_reach_it(logits, top_p):
    for row, mask in zip(logits.double().softmax(-1), kept(filter_logits(logits, top_p=top_p)), strict=True):
        inside = row[mask]
        assert inside.sum() >= top_p and inside.sum() - inside.min() <= top_p
        assert row[~mask].max() <= inside.min()


def test_top_p_counts_what_top_k_left():
    logits = torch.tensor([[0.4, 0.3, 0.2, 0.1]]).log()
    assert kept(filter_logits(logits, top_p=0.5)).sum() == 2
    assert kept(filter_logits(logits, top_k=2, top_p=0.5)).sum() == 1


def test_min_p_keeps_what_is_likely_enough_beside_the_likeliest(logits):
    probabilities = logits.softmax(-1)
    expected = probabilities >= 0.05 * probabilities.amax(-1, keepdim=True)
    assert torch.equal(kept(filter_logits(logits, min_p=0.05)), expected)
    assert torch.equal(kept(filter_logits(logits, min_p=1.0)).sum(-1), torch.ones(8, dtype=torch.int64))


def test_temperature_comes_before_the_filters(logits):
    hot = filter_logits(logits, temperature=2.0, top_p=0.8)
    assert torch.equal(hot, filter_logits(logits / 2.0, top_p=0.8))


def test_filters_leave_their_input_alone(logits):
    before = logits.clone()
    filter_logits(logits, 0.5, 3, 0.5, 0.1)
    assert torch.equal(logits, before)


def noise_of(rows: int, codes: int) -> torch.Tensor:
    """(rows, codes)"""
    return CellNoise(0, range(1), rows, codes, torch.device("cpu")).at(range(rows))[0]


def test_draws_follow_the_distribution():
    """Within four standard deviations of each count; the seed is fixed."""
    probabilities, number = torch.tensor([0.5, 0.0, 0.2, 0.299, 0.001]), 100_000
    drawn = sample_next(probabilities.log().expand(number, -1), SamplingOptions(), noise_of(number, 5))
    expected = number * probabilities
    assert ((drawn.bincount(minlength=5) - expected).abs() <= 4 * (expected * (1 - probabilities)).sqrt()).all()


def test_only_tokens_that_the_filters_left_are_drawn():
    logits = torch.tensor([-math.inf, 0.0, 1.0, 0.0, -math.inf]).expand(3, -1)
    noise = torch.tensor([[9.0, -5.0, -7.0, -9.0, 9.0], [9.0, -9.0, -7.0, -5.0, 9.0], [40.0, 0.0, 0.0, 0.0, 40.0]])
    assert sample_next(logits, SamplingOptions(), noise).tolist() == [1, 3, 2]


def test_temperature_zero_takes_the_likeliest_whatever_the_noise(logits):
    noise = 100 * noise_of(*logits.shape)
    for temperature in (0.0, 1e-45):
        drawn = sample_next(logits, SamplingOptions(temperature=temperature), noise)
        assert torch.equal(drawn, logits.argmax(-1))
    assert not torch.equal(sample_next(logits, SamplingOptions(), noise), logits.argmax(-1))


def test_a_draw_mostly_stays_where_the_logits_move_a_little():
    """By inverting the cumulative distribution, a shift of one code would move the borders of all others."""
    logits, number = torch.randn(512, generator=torch.Generator().manual_seed(1)), 2000
    moved = logits + 0.01 * torch.randn(512, generator=torch.Generator().manual_seed(2))
    noise = noise_of(number, 512)
    drawn, again = (sample_next(each.expand(number, -1), SamplingOptions(), noise) for each in (logits, moved))
    assert 0.98 < (drawn == again).float().mean() < 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -1.0},
        {"temperature": math.nan},
        {"top_k": -1},
        {"top_p": 1.1},
        {"min_p": -0.1},
        {"guidance_scale": math.inf},
    ],
)
def test_options_out_of_range_are_named(wrong):
    with pytest.raises(TamingError, match=next(iter(wrong))):
        SamplingOptions(**wrong)
