"""Tokens of the codes in use alone, and of those that have none."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from random_codes import latents, seeded, vector_quantizer, with_random_codes
from taming.modules.quantizers import GumbelQuantizer, Remap, VectorQuantizer


def remapped(used: list[int], unknown_index: int | None, num_codes: int = 16) -> VectorQuantizer:
    quantizer = vector_quantizer(num_codes, remap=Remap(len(used), unknown_index))
    quantizer.used.copy_(torch.tensor(used))
    return quantizer.eval()


@settings(max_examples=40, deadline=None)
@given(used=st.lists(st.integers(0, 15), min_size=1, max_size=16, unique=True), data=st.data())
def test_remapped_tokens_are_positions_in_the_list_and_lead_back_to_the_codes(used, data):
    unknown = data.draw(st.one_of(st.none(), st.integers(0, len(used))))
    z = latents(height=9, width=9)
    codes = vector_quantizer()(z).indices
    quantizer = remapped(used, unknown)
    quantized = quantizer(z)
    known = torch.isin(codes, torch.tensor(used))
    assert torch.equal(torch.tensor(used)[quantized.indices[known]], codes[known])
    assert torch.equal(quantizer.lookup(quantized.indices)[:, 0][known], vector_quantizer().lookup(codes)[:, 0][known])
    assert quantized.indices.min() >= 0 and quantized.indices.max() <= len(used)
    if unknown is not None:
        assert (quantized.indices[~known] == unknown).all()
    torch.testing.assert_close(quantized.z_q, vector_quantizer()(z).z_q)


def test_codes_without_a_token_get_that_of_the_nearest_code_that_has_one():
    z, used = latents(height=9, width=9), [11, 3, 7]
    nearest = with_random_codes(VectorQuantizer(3, 4), 0)
    nearest.start_at(vector_quantizer().embedding.weight[used])
    assert torch.equal(remapped(used, None)(z).indices, nearest(z).indices)


def test_a_generator_draws_the_tokens_of_codes_without_one_and_no_other():
    z, used = latents(height=16, width=16), [1, 2, 3, 4]
    known = torch.isin(vector_quantizer()(z).indices, torch.tensor(used))
    quantizer = remapped(used, None)
    drawn, again, other = (quantizer(z, seeded(seed)).indices for seed in (5, 5, 6))
    assert torch.equal(drawn, again)
    assert torch.equal(drawn[known], other[known]) and not torch.equal(drawn, other)
    assert torch.equal(drawn[known], quantizer(z).indices[known])


@pytest.mark.parametrize("kind", [torch.int32, torch.float32])
def test_the_list_of_used_codes_may_come_in_another_type(kind):
    """Hosts and loaders treat it as a weight like any other."""
    z, quantizer = latents(), remapped([9, 0, 4, 2], None)
    expected = quantizer(z).indices
    quantizer.used = quantizer.used.to(kind)
    assert torch.equal(quantizer(z).indices, expected)
    assert quantizer.lookup(expected).dtype == torch.float32


def test_remapped_gumbel_codes_are_the_likeliest_of_those_in_use():
    quantizer = with_random_codes(GumbelQuantizer(32, 6, in_channels=4, remap=Remap(5, None)), 2)
    quantizer.used.copy_(torch.tensor([30, 2, 17, 8, 9]))
    z = latents().requires_grad_()
    likeliest = quantizer.proj(z)[:, quantizer.used].argmax(1)
    quantized = quantizer.eval()(z)
    assert torch.equal(quantized.indices, likeliest)
    assert torch.equal(quantized.z_q, quantizer.embed(quantizer.used[likeliest]).permute(0, 3, 1, 2))
    trained = quantizer.train()(z, seeded(0))
    torch.testing.assert_close(trained.z_q, quantizer.lookup(trained.indices))
    assert torch.autograd.grad(trained.z_q.sum(), z)[0].abs().sum() > 0
