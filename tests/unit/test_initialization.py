"""VQGANs whose layers begin by passing on what they are given."""

import copy

import torch
import torch.nn.functional as F

from taming.models.vqgan import VQModel, VQModelConfig
from taming.training.tasks.identity_start import start_at_identity

SMALL = {"n_embed": 16, "embed_dim": 16, "ch": 16, "ch_mult": (1, 2, 2), "num_res_blocks": 1, "num_groups": 4}
LAYOUT = {"attn_resolutions": (8,), "resolution": 32, "z_channels": 16}


def small_model() -> VQModel:
    torch.manual_seed(0)
    return VQModel(VQModelConfig(**SMALL, **LAYOUT))


def color_error(model: VQModel, steps: int = 60) -> float:
    """Mean squared error of squares in random colors after a short training without a codebook."""
    generator = torch.Generator().manual_seed(1)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-4)
    errors = []
    for _ in range(steps):
        pixels = F.interpolate(torch.rand(4, 3, 4, 4, generator=generator) * 2 - 1, scale_factor=8.0)
        loss = F.mse_loss(model.decode(model.encode_latents(pixels)), pixels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        errors.append(loss.item())
    return sum(errors[-10:]) / 10


def test_colors_are_learned_sooner():
    plain, passing = small_model(), small_model()
    start_at_identity(passing)
    assert color_error(passing) < 0.5 * color_error(plain)


def test_layers_that_change_the_resolution_average_and_repeat():
    model = small_model()
    start_at_identity(model)
    x = torch.rand(1, 16, 8, 8) + 1
    down, up = model.encoder.down[0].downsample, model.decoder.up[1].upsample
    assert F.cosine_similarity(down(x).flatten(), F.avg_pool2d(x, 2).flatten(), dim=0) > 0.98
    x = torch.rand(1, 32, 8, 8) + 1
    assert F.cosine_similarity(up(x).flatten(), F.interpolate(x, scale_factor=2.0).flatten(), dim=0) > 0.98


def test_no_two_channels_are_the_same():
    """Copies that stay equal would learn the same thing."""
    model = small_model()
    start_at_identity(model)
    widened = model.encoder.down[1].block[0].nin_shortcut.weight  # 16 channels to 32
    assert not torch.allclose(widened[:16], widened[16:])


def test_what_is_drawn_at_random_stays_beside_it():
    """The same seed gives the same start."""
    once, twice = small_model(), copy.deepcopy(small_model())
    start_at_identity(once)
    start_at_identity(twice)
    assert all(torch.equal(a, b) for a, b in zip(once.parameters(), twice.parameters(), strict=True))
