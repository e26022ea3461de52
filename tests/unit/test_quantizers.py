"""Quantizers: nearest codes, the published losses, gradients straight through, under half precision."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from random_codes import channels_last, latents, vector_quantizer, with_random_codes
from taming.modules.quantizers import CosineQuantizer, DotQuantizer, EMAVectorQuantizer, VectorQuantizer


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    batch=st.integers(1, 3),
    dim=st.integers(1, 9),
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    num_codes=st.integers(1, 40),
)
@pytest.mark.parametrize("kind", [VectorQuantizer, EMAVectorQuantizer])
def test_every_vector_gets_its_nearest_code(kind, seed, batch, dim, height, width, num_codes):
    z = latents(seed, batch, dim, height, width)
    quantizer = with_random_codes(kind(num_codes, dim), seed).eval()
    quantized = quantizer(z)
    distances = (z.double().unsqueeze(1) - quantizer.embedding.weight.double()[:, :, None, None]).square().sum(2)
    chosen = distances.gather(1, quantized.indices.unsqueeze(1)).squeeze(1)
    assert quantized.indices.shape == (batch, height, width) and quantized.indices.dtype == torch.int64
    assert (chosen <= distances.amin(1) + 1e-4).all()  # the tolerance: two codes that float32 cannot tell apart
    torch.testing.assert_close(quantized.z_q, quantizer.lookup(quantized.indices), rtol=0, atol=1e-6)


def test_distances_are_measured_in_float32_whatever_the_latents_are():
    quantizer = vector_quantizer(num_codes=512)
    z = (latents(dim=4, height=16, width=16) * 3).half()
    assert torch.equal(quantizer(z).indices, quantizer(z.float()).indices)
    assert quantizer(z).z_q.dtype == torch.float16


@pytest.mark.parametrize("beta", [0.25, 1.0])
def test_the_legacy_switch_moves_beta_from_the_commitment_to_the_codebook_term(beta):
    z = latents().requires_grad_()
    gap = (z - vector_quantizer().lookup(vector_quantizer()(z).indices)).detach()
    distance = gap.square().mean()
    for legacy, to_encoder, to_codes in ((True, 1.0, beta), (False, beta, 1.0)):
        quantizer = vector_quantizer(beta=beta, legacy=legacy)
        quantized = quantizer(z)
        torch.testing.assert_close(quantized.loss, (to_encoder + to_codes) * distance)
        z_grad, code_grad = torch.autograd.grad(quantized.loss, (z, quantizer.embedding.weight))
        torch.testing.assert_close(z_grad, to_encoder * 2 * gap / gap.numel())
        pulls = torch.zeros_like(code_grad).index_add_(0, quantized.indices.flatten(), channels_last(gap))
        torch.testing.assert_close(code_grad, -to_codes * 2 * pulls / gap.numel())


def test_the_legacy_switch_changes_nothing_but_the_loss():
    z = latents()
    published, corrected = (vector_quantizer(legacy=legacy)(z) for legacy in (True, False))
    assert torch.equal(published.indices, corrected.indices)
    assert torch.equal(published.z_q, corrected.z_q)


@pytest.mark.parametrize("kind", [VectorQuantizer, EMAVectorQuantizer])
def test_gradients_pass_straight_through_to_the_encoder(kind):
    z, weights = latents().requires_grad_(), latents(seed=7)
    (weights * with_random_codes(kind(16, 4), 1)(z).z_q).sum().backward()
    assert z.grad is not None and torch.equal(z.grad, weights)


@pytest.mark.parametrize("kind", [VectorQuantizer, EMAVectorQuantizer, CosineQuantizer, DotQuantizer])
def test_half_precision_around_a_quantizer_chooses_the_same_codes(kind):
    """Rounded to bfloat16, distances of near codes are in another order."""
    z = latents(3, batch=4, dim=16, height=16, width=16)
    quantizer = with_random_codes(kind(256, 16), 4).eval()
    plain = quantizer(z)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(quantizer(z).indices, plain.indices)
