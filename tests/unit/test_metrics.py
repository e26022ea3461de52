"""Figures of merit on inputs whose figures are known."""

import math

import pytest
import torch

from taming.metrics import code_usage, perplexity, psnr


@pytest.mark.parametrize(("error", "decibels"), [(1.0, 0.0), (0.1, 20.0), (0.01, 40.0)])
def test_psnr_of_an_even_error_is_its_decibels(error, decibels):
    a = torch.zeros(2, 3, 4, 4)
    torch.testing.assert_close(psnr(a, a + error), torch.full((2,), decibels))


def test_psnr_is_one_figure_per_picture_and_finite_for_equal_ones():
    a = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    b = a.clone()
    b[1, 0, 0, 0] += 0.5
    figures = psnr(a, b)
    assert figures[0] == figures[2] == 100
    torch.testing.assert_close(figures[1], torch.tensor(-10 * math.log10(0.25 / a[0].numel())))


def test_usage_and_perplexity_count_codes_that_occur():
    even = torch.arange(8).repeat(5).view(5, 2, 4)
    assert code_usage(even, 32) == 0.25
    assert perplexity(even, 32) == pytest.approx(8)
    assert perplexity(torch.full((4, 4), 7), 32) == pytest.approx(1)


def test_uneven_use_has_a_lower_perplexity_than_the_number_of_codes_used():
    indices = torch.tensor([0] * 15 + [1])
    entropy = -(15 / 16 * math.log(15 / 16) + 1 / 16 * math.log(1 / 16))
    assert perplexity(indices, 4) == pytest.approx(math.exp(entropy))
    assert code_usage(indices, 4) == 0.5
