"""What encoder and decoder do differently where gradients are off: the same picture, with less work and memory."""

import copy
from types import ModuleType, SimpleNamespace
from typing import Any, TypeVar, cast

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from peak_memory import peak_bytes
from random_codes import seeded
from taming.modules.acceleration import accelerate_autoencoder
from taming.modules.autoencoder import AttnBlock, AutoencoderConfig, Decoder, Encoder, ResnetBlock, Upsample

TOLERANCE = 3e-5
CONFIG = AutoencoderConfig()
Layer = TypeVar("Layer", bound=nn.Module)
SMALL = {"ch": 32, "ch_mult": (1, 2, 2), "num_res_blocks": 1, "z_channels": 8, "resolution": 32}


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=seeded(seed))


def accelerated(module: Layer) -> Layer:
    accelerate_autoencoder(module)
    return module.eval()


def upsample(channels: int = 32, operations: Any = nn) -> Upsample:
    torch.manual_seed(0)
    return accelerated(Upsample(channels, True, cast(ModuleType, operations)))


def plainly_upsampled(x: Tensor, conv: nn.Conv2d) -> Tensor:
    doubled = F.interpolate(x, scale_factor=2.0, mode="nearest")
    return F.conv2d(doubled, conv.weight.to(x), None if conv.bias is None else conv.bias.to(x), padding=1)


@pytest.mark.parametrize("shape", [(2, 32, 5, 7), (1, 32, 1, 1), (1, 32, 1, 9), (3, 32, 16, 16)], ids=str)
@torch.no_grad()
def test_the_folded_convolution_is_that_of_the_doubled_picture(shape: tuple[int, ...]):
    layer, x = upsample(), random(*shape)
    expected = plainly_upsampled(x, layer.conv)
    assert layer(x).shape == expected.shape
    assert (layer(x) - expected).abs().max() < TOLERANCE * expected.abs().max()


def test_with_gradients_the_picture_is_doubled_as_ever():
    layer, x = upsample(), random(1, 32, 4, 6).requires_grad_()
    made = layer(x)
    assert torch.equal(made, plainly_upsampled(x, layer.conv))
    made.sum().backward()
    assert x.grad is not None and layer.conv.weight.grad is not None


class FetchingConv2d(nn.Conv2d):
    """A host's layer: its weights are kept in another type, and its forward alone knows how to get at them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs, dtype=torch.bfloat16)

    def forward(self, input: Tensor) -> Tensor:
        assert self.bias is not None
        return self._conv_forward(input, 2 * self.weight.to(input), self.bias.to(input))


@torch.no_grad()
def test_a_hosts_layer_still_fetches_and_patches_its_own_weights():
    layer, x = upsample(operations=SimpleNamespace(Conv2d=FetchingConv2d)), random(1, 32, 4, 6)
    patched = nn.Conv2d(32, 32, 3)
    patched.load_state_dict({"weight": 2 * layer.conv.weight, "bias": layer.conv.bias})
    expected = plainly_upsampled(x, patched)
    assert (layer(x) - expected).abs().max() < TOLERANCE * expected.abs().max()


@torch.no_grad()
def test_a_copy_upsamples_by_its_own_weights():
    layer, x = upsample(), random(1, 32, 4, 6)
    other = copy.deepcopy(layer)
    other.conv.weight.zero_()
    assert list(layer.state_dict()) == ["conv.weight", "conv.bias"]
    assert torch.equal(other(x), other.conv.bias[None, :, None, None].expand(1, 32, 8, 12))
    assert not torch.equal(layer(x), other(x))


@pytest.mark.parametrize("module", [Encoder, Decoder])
def test_pictures_and_latents_are_the_same_with_and_without_gradients(module: type[nn.Module]):
    torch.manual_seed(0)
    layers = accelerated(module(AutoencoderConfig(**SMALL, attn_resolutions=(16,))))
    x = random(2, 3, 36, 52) if module is Encoder else random(2, 8, 9, 13)
    with_gradients = layers(x).detach()
    with torch.no_grad():
        assert (layers(x) - with_gradients).abs().max() < TOLERANCE * with_gradients.abs().max()


@pytest.mark.parametrize(
    "block", [ResnetBlock(32, 32, CONFIG, nn), ResnetBlock(32, 64, CONFIG, nn), AttnBlock(32, CONFIG, nn)]
)
@torch.no_grad()
def test_a_block_leaves_its_input_as_it_was(block: nn.Module):
    x = random(1, 32, 6, 8)
    accelerated(block)(x)
    assert torch.equal(x, random(1, 32, 6, 8))


@pytest.mark.parametrize("layer", [ResnetBlock(32, 32, CONFIG, nn), AttnBlock(32, CONFIG, nn), upsample()])
def test_autocast_gives_the_type_it_gives_with_gradients(layer: nn.Module):
    accelerated(layer)
    x = random(1, 32, 6, 8)
    with torch.autocast("cpu", torch.bfloat16):
        expected = layer(x).detach()
        with torch.no_grad():
            made = layer(x)
    assert made.dtype == expected.dtype
    assert (made - expected).abs().max() < 0.05 * expected.abs().max()


def test_attention_over_many_cells_holds_no_matrix_of_them():
    """It did: the kernel that needs none refuses queries whose channels are not next to each other."""
    block, x = accelerated(AttnBlock(64, CONFIG, nn)), random(1, 64, 64, 64)
    matrix_bytes = 4 * (64 * 64) ** 2
    assert peak_bytes(lambda: block(x)) < matrix_bytes / 4


def test_a_residual_block_holds_four_pictures_at_most():
    """Its input is the caller's; a normalized picture, two convolved ones, and what the convolution packs."""
    block, x = accelerated(ResnetBlock(32, 32, CONFIG, nn)), random(1, 32, 128, 128)
    assert peak_bytes(lambda: block(x)) < 4.2 * 4 * x.numel()
