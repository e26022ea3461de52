"""The penalty on spots in a decoder's feature maps: what it measures, that it stops one, and what it leaves alone."""

import pytest
import torch
from torch import Tensor, nn

from recipes import write_recipe
from short_runs import all_pixels, make_task
from taming.models import VQModelConfig
from taming.modules.autoencoder import Decoder
from taming.modules.gradient_checkpointing import set_gradient_checkpointing
from taming.training.amp import autocast
from taming.training.losses import PeakWatch, feature_peaks, peak_loss, peak_ratio
from taming.training.losses.feature_peaks import CELLS, PEAK_LIMIT
from taming.training.monitor import HIGH_PEAK, remark
from taming.training.recipe import read_recipe
from taming.training.tasks.vqgan import VQGANLoss


def tiny_decoder() -> Decoder:
    torch.manual_seed(0)
    config = VQModelConfig(n_embed=16, embed_dim=4, ch=32, ch_mult=(1, 1), num_res_blocks=1, z_channels=4)
    return Decoder(config).train()


def latents() -> Tensor:
    return torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("scale", [1e-2, 3e4])
def test_the_peak_is_the_strongest_cells_share_whatever_the_scale(dtype, scale):
    """Squares of these features leave the range of float16."""
    even = scale * torch.ones(1, 3, 32, 48)
    one_cell = torch.zeros_like(even)
    one_cell[..., :2, :3] = scale
    ratios = peak_ratio(torch.cat([even, one_cell, 0 * even]).to(dtype))
    assert ratios.tolist() == pytest.approx([1, CELLS**2, 1], rel=1e-3)


def test_the_gradient_of_the_peak_is_its_slope():
    features = torch.randn(2, 3, 20, 18, generator=torch.Generator().manual_seed(0))
    change = 1e-2
    features.requires_grad_()
    (gradient,) = torch.autograd.grad(peak_ratio(features).sum(), features)
    direction = gradient / gradient.norm()
    with torch.no_grad():
        rise = peak_ratio(features + change * direction) - peak_ratio(features - change * direction)
    assert rise.sum().item() / (2 * change) == pytest.approx(gradient.norm().item(), rel=1e-2)


def test_a_bright_line_is_no_peak():
    features = torch.ones(1, 4, 128, 128)
    features[..., 50, :] = 8.0
    assert peak_ratio(features) < PEAK_LIMIT


def test_maps_of_decoders_with_random_weights_cost_nothing():
    decoder = tiny_decoder()
    watch = PeakWatch(decoder)
    with watch.measure() as ratios:
        decoder(latents())
    assert len(ratios) == sum(isinstance(module, nn.GroupNorm) for module in decoder.modules()) == 14
    assert all(ratio.requires_grad for ratio in ratios)
    assert peak_loss(ratios) == 0
    decoder(latents())
    assert len(ratios) == 14, "another pass was taken for the one that was measured"
    watch.stop()
    assert not any(module._forward_pre_hooks for module in decoder.modules())


def reward_spot(peaks: float) -> float:
    """The peak after some steps of a decoder that is paid for energy in the upper left corner of what it gives."""
    decoder, z = tiny_decoder(), latents()
    watch, features = PeakWatch(decoder), []
    decoder.norm_out.register_forward_pre_hook(lambda norm, inputs: features.append(inputs[0]))
    optimizer = torch.optim.Adam(decoder.parameters(), lr=3e-3)
    for _ in range(20):
        features.clear()
        with watch.measure() as ratios:
            decoder(z)
        energy = features[0].square().mean((0, 1))
        reward = (energy[:2, :2].mean() / energy.mean()).log()
        optimizer.zero_grad()
        (peaks * peak_loss(ratios) - 0.002 * reward).backward()
        optimizer.step()
    return peak_ratio(features[0]).item()


def test_a_decoder_that_is_paid_for_a_spot_builds_none_under_the_penalty():
    assert reward_spot(peaks=0.0) > 5 * PEAK_LIMIT
    assert reward_spot(VQGANLoss().peaks) < 1.5 * PEAK_LIMIT


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_gradient_checkpointing_leaves_the_penalty_and_its_gradient_as_they_are(precision):
    found = []
    for checkpointing in (False, True):
        decoder = tiny_decoder()
        set_gradient_checkpointing(decoder, checkpointing)
        z = latents()
        z[:, :, 0, 0] = 60.0
        with autocast(precision, torch.device("cpu")), PeakWatch(decoder).measure() as ratios:
            decoder(z)
        loss = peak_loss(ratios)
        loss.backward()
        assert len(ratios) == 14, "what checkpointing computed again was kept"
        found.append([loss, decoder.conv_in.weight.grad])
    assert found[0][0] > 0
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0)


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_the_penalty_counts_in_its_steps_and_leaves_the_adaptive_weight_as_it_is(
    precision, run_folder, scenes, monkeypatch
):
    monkeypatch.setattr(feature_peaks, "PEAK_LIMIT", 1.0)  # so that every map is above it
    losses, figures = {}, {}
    for peaks in (0.0, 0.1):
        settings = {"adversarial": 0.1, "peaks": peaks}
        task = make_task(read_recipe(str(write_recipe(run_folder, "vqgan_decoder", loss=settings))), scenes)
        batch = {"pixels": all_pixels(scenes)[:1]}
        for step in (0, 1):
            with autocast(precision, torch.device("cpu")):
                losses[peaks, step], figures[peaks, step] = task.turns[0].loss(batch, step)
    assert figures[0.0, 0] == figures[0.1, 0] and figures[0.1, 0]["weight"] > 0
    assert losses[0.0, 1] == losses[0.1, 1]
    assert losses[0.1, 0] > losses[0.0, 0] + 0.1
    losses[0.1, 0].backward()
    gradients = [weight.grad for weight in task.model.decoder.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)


def test_an_evaluation_tells_the_peak_and_warns_of_a_high_one(run_folder, scenes):
    task = make_task(read_recipe(str(write_recipe(run_folder, "vqgan_decoder"))), scenes)
    figures = task.evaluate()
    assert 1 < figures["peak"] < PEAK_LIMIT
    assert task.model.training and not any(weight.grad is not None for weight in task.model.parameters())
    assert remark(figures | {"usage": 1.0}) is None
    assert "loss.peaks" in str(remark({"usage": 1.0, "peak": HIGH_PEAK + 1}))
