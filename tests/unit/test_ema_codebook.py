"""Codebooks that follow the data: settling, restarts, and what they survive."""

import pytest
import torch
from torch import Tensor, nn

from random_codes import channels_last, latents, seeded
from taming.modules.quantizers import EMAVectorQuantizer


def clusters(num_clusters: int, per_cluster: int = 64, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Latents (1, D, h, w) in well separated groups, and the groups' means (num_clusters, D)."""
    centers = 10 * torch.eye(num_clusters)
    points = centers.repeat_interleave(per_cluster, 0)
    points = points + torch.randn(points.shape, generator=seeded(seed))
    means = points.view(num_clusters, per_cluster, -1).mean(1)
    return points.T.reshape(1, num_clusters, num_clusters, per_cluster), means


def test_ema_codes_settle_on_the_means_of_what_is_assigned_to_them():
    z, means = clusters(6)
    quantizer = EMAVectorQuantizer(6, 6, decay=0.9).train()
    quantizer.start_at(means + 2 * torch.randn(means.shape, generator=seeded(1)))
    for _ in range(120):
        quantizer(z)
    torch.testing.assert_close(quantizer.embedding.weight, means, rtol=0, atol=1e-3)
    torch.testing.assert_close(quantizer.embedding.cluster_size, torch.full((6,), 64.0), rtol=0, atol=1e-2)


def test_one_ema_step_is_the_papers_formula():
    quantizer = EMAVectorQuantizer(5, 4, decay=0.8).train()
    codes = torch.randn(5, 4, generator=seeded(2))
    quantizer.start_at(codes)
    z = latents()
    indices = quantizer(z).indices.flatten()
    one_hot = nn.functional.one_hot(indices, 5).float()
    size = 0.8 * torch.ones(5) + 0.2 * one_hot.sum(0)
    average = 0.8 * codes + 0.2 * one_hot.T @ channels_last(z)
    torch.testing.assert_close(quantizer.embedding.cluster_size, size)
    torch.testing.assert_close(quantizer.embedding.embed_avg, average)
    torch.testing.assert_close(quantizer.embedding.weight, average / size.unsqueeze(1))


def test_an_unused_ema_code_stays_where_it_is_until_it_is_dead():
    """The reference divides the average of an unused code by almost nothing, so that it flies away."""
    quantizer = EMAVectorQuantizer(2, 4).train()
    far = torch.full((4,), 50.0)
    quantizer.start_at(torch.stack([torch.zeros(4), far]))
    for _ in range(200):
        quantizer(latents())
    torch.testing.assert_close(quantizer.embedding.weight[1], far)


def test_dead_ema_codes_restart_at_latents_of_the_batch():
    quantizer = EMAVectorQuantizer(64, 4, decay=0.5, restart_below=0.05).train()
    quantizer.start_at(torch.cat([torch.zeros(1, 4), torch.full((63, 4), 1000.0)]))  # collapsed: one code is used
    z = latents(batch=4, height=8, width=8)
    assert quantizer(z).indices.unique().numel() == 1
    for step in range(40):
        quantizer(z, seeded(step))
        assert quantizer.embedding.weight.isfinite().all()
    used = quantizer.eval()(z).indices.unique().numel()
    assert used > 48, f"{used} of 64 codes are in use"
    assert quantizer.embedding.weight.abs().max() <= z.abs().max()


def test_ema_restarts_repeat_with_the_generator():
    def trained(seed: int) -> Tensor:
        quantizer = EMAVectorQuantizer(32, 4, decay=0.1).train()
        quantizer.start_at(torch.full((32, 4), 9.0))
        for _ in range(3):
            quantizer(latents(), seeded(seed))
        return quantizer.embedding.weight

    assert torch.equal(trained(1), trained(1))
    assert not torch.equal(trained(1), trained(2))


@pytest.mark.parametrize("count", [0.0, 1e-30])
def test_an_ema_codebook_with_empty_counts_stays_finite(count):
    """Published EMA codebooks start from counts of zero."""
    quantizer = EMAVectorQuantizer(16, 4).train()
    quantizer.embedding.cluster_size.fill_(count)
    for step in range(5):
        quantizer(latents(), seeded(step))
    assert all(tensor.isfinite().all() for tensor in quantizer.state_dict().values())


def test_an_ema_codebook_that_was_never_started_moves_from_its_own_vectors():
    quantizer = EMAVectorQuantizer(16, 4, decay=0.99).train()
    before = quantizer.embedding.weight.clone()
    quantizer(latents())
    moved = (quantizer.embedding.weight - before).norm(dim=1)
    assert 0 < moved.max() < 1


def test_an_ema_codebook_moves_only_in_training_and_never_by_gradient():
    quantizer = EMAVectorQuantizer(16, 4)
    z = latents().requires_grad_()
    before = {key: tensor.clone() for key, tensor in quantizer.state_dict().items()}
    quantized = quantizer.eval()(z)
    assert all(torch.equal(tensor, before[key]) for key, tensor in quantizer.state_dict().items())
    assert not any(parameter.requires_grad for parameter in quantizer.parameters())
    gap = z - quantizer.lookup(quantized.indices)
    torch.testing.assert_close(quantized.loss, quantizer.beta * gap.square().mean())
    assert torch.autograd.grad(quantized.loss, z)[0].abs().sum() > 0
    quantizer.train()(z)
    assert not torch.equal(quantizer.embedding.weight, before["embedding.weight"])


def test_ema_codebooks_are_saved_under_the_published_names():
    assert set(EMAVectorQuantizer(8, 4).state_dict()) == {
        "embedding.weight",
        "embedding.cluster_size",
        "embedding.embed_avg",
    }
