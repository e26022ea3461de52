"""The VQGAN: shapes for odd configurations, tokens back to pixels, keys and sizes of the published checkpoints."""

from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

import published
from taming.errors import ConfigError
from taming.models import VQModel, VQModelConfig

TINY = {"n_embed": 24, "embed_dim": 8, "ch": 32, "ch_mult": (1, 2), "num_res_blocks": 1, "z_channels": 16}
ODD_CONFIGS = {
    "one level": {"ch_mult": (1,)},
    "narrowing": {"ch_mult": (2, 1), "num_res_blocks": 2},
    "groups of four channels": {"num_groups": 8},
    "pooled": {"resamp_with_conv": False, "ch_mult": (1, 1, 2)},
    "attention everywhere": {"attn_resolutions": (8, 16), "resolution": 16},
    "attention in the middle only": {"attn_resolutions": ()},
    "other channels": {"in_channels": 1, "out_ch": 5},
    "wide codes": {"embed_dim": 40},
    "one code": {"n_embed": 1},
    "no attention at all": {"attn_resolutions": (), "mid_attention": False},
    "pictures in [0, 1]": {"pixel_range": "unit"},
    "gumbel": {"quantizer": "gumbel"},
    "ema": {"quantizer": "ema"},
    "cosine": {"quantizer": "cosine"},
    "dot": {"quantizer": "dot"},
    "remapped": {"num_used": 10},
    "remapped, one token for the rest": {"num_used": 10, "unknown_index": 10},
}
QUANTIZERS = ("vq", "gumbel", "ema", "cosine", "dot")
F16 = {"ch": 128, "ch_mult": (1, 1, 2, 2, 4), "num_res_blocks": 2, "z_channels": 256, "embed_dim": 256}
F8 = {**F16, "ch_mult": (1, 1, 2, 4)}


def tiny_vqgan(seed: int = 0, **changes) -> VQModel:
    torch.manual_seed(seed)
    return VQModel(VQModelConfig(**{**TINY, **changes})).eval()


def pixels(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize("changes", ODD_CONFIGS.values(), ids=ODD_CONFIGS)
@torch.no_grad()
def test_odd_configurations_keep_the_promised_shapes(changes):
    vqgan = tiny_vqgan(**changes)
    config = vqgan.config
    height, width = 3 * vqgan.factor, 5 * vqgan.factor
    quantized = vqgan.encode(pixels(2, config.in_channels, height, width))
    assert vqgan.factor == 2 ** (len(config.ch_mult) - 1)
    assert quantized.z_q.shape == (2, config.embed_dim, 3, 5)
    assert quantized.indices.shape == (2, 3, 5) and quantized.indices.dtype == torch.int64
    assert quantized.indices.min() >= 0 and quantized.indices.max() < config.num_tokens
    assert quantized.loss.shape == () and quantized.loss.isfinite()
    assert vqgan.decode(quantized.z_q).shape == (2, config.out_ch, height, width)


@pytest.mark.parametrize("quantizer", QUANTIZERS)
@torch.no_grad()
def test_tokens_carry_the_whole_picture(quantizer):
    vqgan = tiny_vqgan(quantizer=quantizer)
    quantized = vqgan.encode(pixels(2, 3, 16, 24))
    from_tokens = vqgan.decode_indices(quantized.indices)
    assert torch.equal(from_tokens, vqgan.decode(vqgan.quantize.lookup(quantized.indices)))
    torch.testing.assert_close(from_tokens, vqgan.decode(quantized.z_q), rtol=0, atol=1e-5)


@torch.no_grad()
def test_a_model_of_pictures_in_0_to_1_is_the_same_model_behind_a_change_of_range():
    signed, unit = tiny_vqgan(), tiny_vqgan(pixel_range="unit")
    x = pixels(2, 3, 16, 16)
    assert torch.equal(unit.encode(x).indices, signed.encode((x + 1) / 2).indices)
    indices = signed.encode(x).indices
    assert torch.equal(unit.decode_indices(indices), signed.decode_indices(indices) * 2 - 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_used": 4, "quantizer": "dot"}, "never remapped"),
        ({"num_used": 25}, "more than the 24 codes"),
        ({"num_used": 4, "unknown_index": 5}, "unknown_index 5"),
        ({"unknown_index": 0}, "unknown_index 0"),
    ],
)
def test_a_remap_that_makes_no_sense_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        VQModelConfig(**{**TINY, **changes})


@torch.no_grad()
def test_calling_the_model_encodes_and_decodes():
    vqgan, x = tiny_vqgan(), pixels(2, 3, 16, 16)
    reconstruction, quantized = vqgan(x)
    assert torch.equal(quantized.indices, vqgan.encode(x).indices)
    assert torch.equal(reconstruction, vqgan.decode(quantized.z_q))


@torch.no_grad()
def test_a_pictures_latents_do_not_depend_on_its_batch():
    vqgan, x = tiny_vqgan(), pixels(3, 3, 16, 16)
    together = vqgan.encode_latents(x)
    alone = torch.cat([vqgan.encode_latents(item) for item in x.split(1)])
    torch.testing.assert_close(alone, together, rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@torch.no_grad()
def test_a_model_computes_in_the_dtype_it_was_cast_to(dtype):
    vqgan = tiny_vqgan().to(dtype)
    quantized = vqgan.encode(pixels(1, 3, 16, 16).to(dtype))
    assert quantized.z_q.dtype == dtype and quantized.indices.dtype == torch.int64
    assert vqgan.decode_indices(quantized.indices).dtype == dtype


def test_a_reconstruction_can_be_differentiated_down_to_the_first_layer():
    vqgan = tiny_vqgan()
    reconstruction, _ = vqgan(pixels(1, 3, 16, 16))
    reconstruction.square().mean().backward()
    assert vqgan.encoder.conv_in.weight.grad.abs().max() > 0


@torch.no_grad()
def test_only_a_generator_makes_gumbel_encoding_random():
    vqgan, x = tiny_vqgan(quantizer="gumbel"), pixels(1, 3, 32, 32)
    drawn = [vqgan.encode(x, torch.Generator().manual_seed(seed)).indices for seed in (3, 3, 4)]
    assert torch.equal(vqgan.encode(x).indices, vqgan.encode(x).indices)
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


PUBLISHED = {  # configuration of ours, layout as `published` writes it, parameters as the published files have them
    "vqgan_imagenet_f16_1024": ({**F16, "n_embed": 1024}, {**F16, "n_embed": 1024, "attn_levels": (4,)}, 72_141_699),
    "vqgan_imagenet_f16_16384": ({**F16, "n_embed": 16384}, {**F16, "n_embed": 16384, "attn_levels": (4,)}, 76_073_859),
    "vqgan_gumbel_f8": (
        {**F8, "n_embed": 8192, "attn_resolutions": (32,), "quantizer": "gumbel"},
        {**F8, "n_embed": 8192, "attn_levels": (3,), "quantizer": "gumbel"},
        68_995_971,
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_keys_shapes_and_parameter_counts_are_those_of_the_published_checkpoint(name, monkeypatch):
    config, layout, num_parameters = PUBLISHED[name]
    monkeypatch.setattr(published, "fill", lambda shapes, seed: shapes)
    with torch.device("meta"):
        vqgan = VQModel(VQModelConfig(**config))
    assert {key: tuple(value.shape) for key, value in vqgan.state_dict().items()} == published.vqgan_weights(**layout)
    assert sum(parameter.numel() for parameter in vqgan.parameters()) == num_parameters


def test_an_ema_model_has_the_published_codebook_keys():
    keys = {key for key in tiny_vqgan(quantizer="ema").state_dict() if key.startswith("quantize.")}
    assert keys == {f"quantize.embedding.{name}" for name in ("weight", "cluster_size", "embed_avg")}


class WithoutWeights:
    """A host's layer as it is before loading: it knows its sizes and holds nothing."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.weight = None


HOST = ModuleType("host")
for name in ("Conv2d", "GroupNorm", "Embedding"):
    setattr(HOST, name, type(name, (WithoutWeights, getattr(nn, name)), {}))


@pytest.mark.parametrize("quantizer", QUANTIZERS)
def test_every_weight_sits_in_an_injected_layer_and_none_is_looked_at_before_loading(quantizer):
    config = VQModelConfig(**{**TINY, "quantizer": quantizer, "attn_resolutions": (256,)})
    vqgan = VQModel(config, HOST)
    owners = [module for module in vqgan.modules() if module._parameters or module._buffers]
    assert len(owners) > 40
    assert [module for module in owners if not isinstance(module, WithoutWeights)] == []


def test_groups_of_several_channels_tell_a_dark_map_from_a_bright_one_and_groups_of_one_do_not():
    def change(num_groups: int) -> float:
        norm = tiny_vqgan(num_groups=num_groups).decoder.norm_out
        dark = torch.full((1, 32, 8, 8), 0.1)
        bright = dark + torch.arange(32).view(1, 32, 1, 1)
        return (norm(dark) - norm(bright)).abs().max().item()

    assert change(32) < 1e-3 < 1 < change(8)


def test_groups_that_do_not_divide_the_widths_are_refused():
    with pytest.raises(ConfigError, match="num_groups 24 does not divide the width 32"):
        tiny_vqgan(num_groups=24)
