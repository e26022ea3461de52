"""Nearest codes without the matrix of all distances: as the reference chooses, ties too, in a fifth of the memory."""

import pytest
import torch
from torch import Tensor

from peak_memory import peak_bytes
from random_codes import seeded
from taming.modules.quantizers import VectorQuantizer
from taming.modules.quantizers.nearest import nearest_codes

PUBLISHED = (16_384, 256, 1_024)  # codes, dimensions, cells
SHAPES = [(1, 256, 300), (3, 256, 1), (1_025, 256, 1_025), (4_097, 64, 600), (3_000, 512, 256), (2_500, 3, 2_050)]


def by_the_reference(z: Tensor, codes: Tensor) -> Tensor:
    """What `VectorQuantizer` of taming-transformers computes, with its one matrix."""
    flat = z.permute(0, 2, 3, 1).contiguous().view(-1, z.shape[1])
    distances = torch.sum(flat**2, dim=1, keepdim=True) + torch.sum(codes**2, dim=1) - 2 * torch.matmul(flat, codes.t())
    return torch.argmin(distances, dim=1).view(z.shape[0], *z.shape[2:])


def between_two_codes(codes: Tensor, cells: int) -> Tensor:
    """Latents (1, D, 1, cells) halfway between two random codes each: only rounding decides."""
    pairs = torch.randint(len(codes), (2, cells), generator=seeded(1))
    return codes[pairs].mean(0).T[None, :, None]  # (1, D, 1, cells)


@pytest.mark.parametrize(("num_codes", "dim", "cells"), SHAPES)
def test_near_ties_fall_as_in_the_reference(num_codes: int, dim: int, cells: int):
    codes = torch.randn(num_codes, dim, generator=seeded(0))
    z = between_two_codes(codes, cells)
    assert torch.equal(nearest_codes(z, codes), by_the_reference(z, codes))


def test_of_equally_near_codes_the_first_is_taken_wherever_they_lie():
    """Whole numbers: every sum is exact, on every device."""
    few = torch.randint(-2, 3, (100, 4), generator=seeded(0)).float()
    codes = few.repeat(50, 1)  # each is there at least 50 times, in every part of the codebook
    z = torch.randint(-2, 3, (2, 4, 20, 30), generator=seeded(1)).float()
    nearest = nearest_codes(z, codes)
    assert torch.equal(nearest, by_the_reference(z, codes))
    assert nearest.max() < len(few)


def test_the_nearest_code_may_be_the_last_of_many():
    codes = torch.cat([torch.full((5_000, 2), 3.0), torch.zeros(1, 2)])
    assert nearest_codes(torch.zeros(1, 2, 30, 40), codes).eq(5_000).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_and_autocast_choose_as_float32_does_from_the_same_numbers(dtype: torch.dtype):
    codes = torch.randn(3_000, 16, generator=seeded(0)).to(dtype)
    z = torch.randn(1, 16, 20, 30, generator=seeded(1)).to(dtype)
    with torch.autocast("cpu", torch.bfloat16):
        nearest = nearest_codes(z, codes)
    assert torch.equal(nearest, by_the_reference(z.float(), codes.float()))


def test_no_cells_have_no_codes():
    assert nearest_codes(torch.zeros(0, 4, 3, 5), torch.randn(9, 4)).shape == (0, 3, 5)


def test_gradients_reach_the_codes_that_a_large_codebook_chose():
    quantizer = VectorQuantizer(3_000, 8)
    z = torch.randn(1, 8, 20, 20, generator=seeded(0), requires_grad=True)
    quantized = quantizer(z)
    (quantized.z_q.sum() + quantized.loss).backward()
    weight = quantizer.embedding.weight.grad
    assert z.grad is not None and weight is not None
    assert set(weight.abs().sum(1).nonzero().flatten().tolist()) == set(quantized.indices.flatten().tolist())


def test_the_published_codebook_takes_a_fifth_of_the_whole_matrix_at_most():
    num_codes, dim, cells = PUBLISHED
    codes, z = torch.randn(num_codes, dim), torch.randn(1, dim, cells, 1)
    assert peak_bytes(lambda: nearest_codes(z, codes)) <= num_codes * cells * 4 / 5
