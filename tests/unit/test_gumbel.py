"""Gumbel quantizers: the likeliest code, noise only on request, the soft gradient."""

import torch
from torch import nn

from random_codes import latents, seeded, with_random_codes
from taming.modules.quantizers import GumbelQuantizer


def test_gumbel_encoding_takes_the_likeliest_code_every_time_by_default():
    quantizer = with_random_codes(GumbelQuantizer(32, 6, in_channels=4), 2).eval()
    z = latents()
    first, again = quantizer(z), quantizer(z)
    assert torch.equal(first.indices, quantizer.proj(z).argmax(1))
    assert torch.equal(first.indices, again.indices)
    assert torch.equal(first.z_q, quantizer.lookup(first.indices))


def test_gumbel_noise_comes_from_the_generator_and_repeats_with_its_seed():
    quantizer = with_random_codes(GumbelQuantizer(32, 6, in_channels=4), 2).eval()
    z = latents(height=16, width=16)
    state = torch.get_rng_state()
    drawn, again, other = (quantizer(z, seeded(seed)).indices for seed in (5, 5, 6))
    assert torch.equal(drawn, again)
    assert not torch.equal(drawn, other)
    assert not torch.equal(drawn, quantizer(z).indices)
    assert torch.equal(torch.get_rng_state(), state), "the global generator was used"


def test_gumbel_codes_are_drawn_as_often_as_their_probabilities_say():
    quantizer = with_random_codes(GumbelQuantizer(4, 2, in_channels=3), 3).eval()
    z = latents(batch=1, dim=3, height=1, width=1).expand(1, 3, 128, 128)
    probabilities = quantizer.proj(z)[0, :, 0, 0].softmax(0)
    indices = quantizer(z, seeded(0)).indices
    shares = indices.flatten().bincount(minlength=4) / indices.numel()
    torch.testing.assert_close(shares, probabilities, rtol=0, atol=0.02)  # 5 standard deviations of 16,384 draws


def test_training_a_gumbel_quantizer_sees_hard_codes_and_the_soft_gradient():
    quantizer = with_random_codes(GumbelQuantizer(8, 6, in_channels=4), 4).train()
    z, weights = latents().requires_grad_(), latents(seed=9, dim=6)
    quantized = quantizer(z, seeded(1))
    torch.testing.assert_close(quantized.z_q, quantizer.lookup(quantized.indices))
    grads = torch.autograd.grad((weights * quantized.z_q).sum(), (z, quantizer.proj.weight))

    noise = -torch.empty(2, 8, 3, 5).exponential_(generator=seeded(1)).log()
    soft = ((quantizer.proj(z) + noise) / quantizer.temperature).softmax(1)
    mixed = torch.einsum("bkhw,kd->bdhw", soft, quantizer.embed.weight)
    expected = torch.autograd.grad((weights * mixed).sum(), (z, quantizer.proj.weight))
    torch.testing.assert_close(grads, expected)


def test_gumbel_loss_is_the_divergence_from_even_use_and_zero_there():
    quantizer = with_random_codes(GumbelQuantizer(8, 4, in_channels=4, kl_weight=0.5), 5).eval()
    z = latents()
    probabilities = quantizer.proj(z).softmax(1)
    divergence = (probabilities * (probabilities * 8).log()).sum(1).mean()
    torch.testing.assert_close(quantizer(z).loss, 0.5 * divergence)
    nn.init.zeros_(quantizer.proj.weight)
    nn.init.zeros_(quantizer.proj.bias)
    assert quantizer(z).loss.abs() < 1e-6


def test_the_gumbel_temperature_changes_the_gradient_and_never_the_choice():
    quantizer = with_random_codes(GumbelQuantizer(32, 6, in_channels=4), 2).train()
    z = latents().requires_grad_()
    grads, choices = [], []
    for temperature in (1.0, 0.1):
        quantizer.temperature = temperature
        quantized = quantizer(z, seeded(3))
        choices.append(quantized.indices)
        grads.append(torch.autograd.grad(quantized.z_q.square().sum(), z)[0])
    assert torch.equal(*choices)
    assert not torch.allclose(*grads)
