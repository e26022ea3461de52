"""Codes by cosine and by dot product."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from random_codes import latents, seeded, with_random_codes
from taming.modules.quantizers import CosineQuantizer, DotQuantizer


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), dim=st.integers(2, 9), num_codes=st.integers(1, 40))
def test_a_cosine_code_points_as_nearly_the_same_way_as_any(seed, dim, num_codes):
    z = latents(seed, dim=dim)
    quantizer = with_random_codes(CosineQuantizer(num_codes, dim), seed).eval()
    quantized = quantizer(z)
    similarity = nn.functional.cosine_similarity(
        z.double().unsqueeze(1), quantizer.embedding.weight.double()[:, :, None, None], dim=2
    )
    chosen = similarity.gather(1, quantized.indices.unsqueeze(1)).squeeze(1)
    assert (chosen >= similarity.amax(1) - 1e-5).all()
    torch.testing.assert_close(quantized.z_q.norm(dim=1), torch.ones(2, 3, 5))
    torch.testing.assert_close(quantized.z_q, quantizer.lookup(quantized.indices), rtol=0, atol=1e-6)


def test_the_length_of_latents_and_codes_means_nothing_to_a_cosine_codebook():
    quantizer, z = with_random_codes(CosineQuantizer(32, 4), 1).eval(), latents(height=16, width=16)
    first = quantizer(z)
    with torch.no_grad():
        quantizer.embedding.weight.mul_(torch.rand(32, 1, generator=seeded(2)) + 0.5)
    again = quantizer(z * 7)
    assert torch.equal(first.indices, again.indices)
    torch.testing.assert_close(first.z_q, again.z_q)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), dim=st.integers(1, 9), num_codes=st.integers(1, 40))
def test_a_dot_code_has_the_largest_dot_product(seed, dim, num_codes):
    z = latents(seed, dim=dim)
    quantizer = with_random_codes(DotQuantizer(num_codes, dim), seed).eval()
    quantized = quantizer(z)
    scores = torch.einsum("bdhw,kd->bkhw", z.double(), quantizer.embedding.weight.double())
    chosen = scores.gather(1, quantized.indices.unsqueeze(1)).squeeze(1)
    assert (chosen >= scores.amax(1) - 1e-5).all()
    assert torch.equal(quantized.z_q, quantizer.lookup(quantized.indices))


def test_dot_and_nearest_codes_differ_where_codes_differ_in_length():
    quantizer = DotQuantizer(2, 1)
    with torch.no_grad():
        quantizer.embedding.weight.copy_(torch.tensor([[1.0], [9.0]]))
    assert quantizer(torch.ones(1, 1, 1, 1)).indices.item() == 1


def test_training_a_dot_codebook_moves_every_code():
    quantizer = with_random_codes(DotQuantizer(8, 4), 4).train()
    z, weights = latents().requires_grad_(), latents(seed=9)
    quantized = quantizer(z)
    torch.testing.assert_close(quantized.z_q, quantizer.lookup(quantized.indices))
    grad_z, grad_codes = torch.autograd.grad((weights * quantized.z_q).sum(), (z, quantizer.embedding.weight))
    assert grad_z.abs().sum() > 0
    assert (grad_codes.abs().sum(1) > 0).all(), "a code that was not chosen is never pulled"
