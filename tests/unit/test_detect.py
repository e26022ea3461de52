"""Architecture from shapes: the published models are recognized from the names and sizes of their weights."""

import math

import pytest
import torch
from torch import Tensor

from published import Shapes, prefixed, transformer_shapes, transformer_weights, vqgan_shapes, vqgan_weights
from taming.checkpoints.detect_transformer import detect_transformer
from taming.checkpoints.detect_vqgan import detect_vqgan
from taming.checkpoints.parts import holds, take_part
from taming.checkpoints.read import Checkpoint
from taming.errors import ConfigError, UnsupportedCheckpointError
from taming.models.transformer import Transformer
from taming.models.vqgan import VQModel

F16 = {"ch": 128, "ch_mult": (1, 1, 2, 2, 4), "num_res_blocks": 2, "attn_levels": (4,), "z_channels": 256}
F8 = {"ch": 128, "ch_mult": (1, 1, 2, 4), "num_res_blocks": 2, "attn_levels": (3,), "z_channels": 256}
LDM_F4 = {"ch": 128, "ch_mult": (1, 2, 4), "num_res_blocks": 2, "attn_levels": (), "z_channels": 3}
PUBLISHED_VQGANS = {  # name: sizes, number of parameters as published
    "imagenet_f16_1024": ({**F16, "embed_dim": 256, "n_embed": 1024}, 72_141_699),
    "imagenet_f16_16384": ({**F16, "embed_dim": 256, "n_embed": 16384}, 76_073_859),
    "depth": ({**F16, "embed_dim": 256, "n_embed": 1024, "channels": 1}, 72_137_089),
    "gumbel_f8": ({**F8, "embed_dim": 256, "n_embed": 8192, "quantizer": "gumbel"}, 68_995_971),
    "ldm_vq_f4_noattn": ({**LDM_F4, "embed_dim": 3, "n_embed": 8192, "mid_attention": False}, 53_219_486),
    "ldm_vq_f4": ({**LDM_F4, "embed_dim": 3, "n_embed": 8192}, 55_322_782),
    "chameleon": ({**F16, "attn_levels": (), "embed_dim": 256, "n_embed": 8192}, 68_718_467),
}


def abstract(shapes: Shapes) -> dict[str, Tensor]:
    return {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}


def keys_and_shapes(weights: dict[str, Tensor]) -> Shapes:
    return {key: tuple(tensor.shape) for key, tensor in weights.items()}


@pytest.mark.parametrize("name", PUBLISHED_VQGANS)
def test_a_published_vqgan_is_built_exactly_from_its_shapes(name):
    sizes, num_parameters = PUBLISHED_VQGANS[name]
    shapes = vqgan_shapes(**sizes)
    assert sum(map(math.prod, shapes.values())) == num_parameters
    config = detect_vqgan(abstract(shapes), name)
    with torch.device("meta"):
        assert keys_and_shapes(VQModel(config).state_dict()) == shapes
    assert config.factor == 2 ** (len(sizes["ch_mult"]) - 1)


@pytest.mark.parametrize(
    "sizes",
    [
        {"quantizer": "ema"},
        {"ch_mult": (1,), "attn_levels": ()},
        {"ch_mult": (1, 1, 1), "attn_levels": (0, 2), "num_res_blocks": 3},
        {"ch_mult": (2, 1), "channels": 1},
        {"ch_mult": (1,) * 8},
    ],
)
def test_an_unusual_vqgan_is_built_exactly_from_its_shapes(sizes):
    shapes = vqgan_shapes(**sizes)
    config = detect_vqgan(abstract(shapes), "x")
    with torch.device("meta"):
        assert keys_and_shapes(VQModel(config).state_dict()) == shapes


@pytest.mark.parametrize(
    ("sizes", "heads", "kind", "num_parameters"),
    [
        ({"vocab_size": 1024, "block_size": 256, "n_layer": 24, "n_embd": 1664}, 16, "unconditional", 801_798_400),
        ({"vocab_size": 16384, "block_size": 256, "n_layer": 48, "n_embd": 1536}, 24, "class", 1_410_640_896),
    ],
)
def test_a_published_transformer_is_built_exactly_from_its_shapes(sizes, heads, kind, num_parameters):
    shapes = transformer_shapes(**sizes)
    assert sum(map(math.prod, shapes.values())) == num_parameters
    config = detect_transformer(abstract(shapes), "x")
    assert (config.n_head, config.condition.kind, config.grid) == (heads, kind, (16, 16))
    with torch.device("meta"):
        assert keys_and_shapes(Transformer(config).state_dict()) == shapes


@pytest.mark.parametrize("n_unmasked", [0, 4])
def test_the_bidirectional_prefix_is_read_from_the_mask(n_unmasked):
    weights = transformer_weights(n_unmasked=n_unmasked, vocab_size=1024, block_size=256, n_layer=1)
    assert detect_transformer(weights, "x").n_unmasked == n_unmasked


@pytest.mark.parametrize("key", ["encoder.conv_in.weight", "quant_conv.weight", "encoder.conv_out.weight"])
def test_a_missing_telling_weight_is_named(key):
    shapes = vqgan_shapes()
    del shapes[key]
    with pytest.raises(UnsupportedCheckpointError, match=key):
        detect_vqgan(abstract(shapes), "x")


def test_a_continuous_autoencoder_is_not_taken_for_a_vqgan():
    shapes = vqgan_shapes() | {"encoder.conv_out.weight": (32, 64, 3, 3)}
    with pytest.raises(UnsupportedCheckpointError, match="continuous"):
        detect_vqgan(abstract(shapes), "x")


def test_a_transformer_that_no_published_one_resembles_asks_for_its_yaml():
    with pytest.raises(ConfigError, match="YAML"):
        detect_transformer(abstract(transformer_shapes(vocab_size=77, block_size=256)), "x")


@pytest.mark.parametrize("prefix", ["", "first_stage_model.", "module.", "vqgan.", "model.first_stage_model."])
def test_prefixes_are_stripped_and_other_models_of_the_file_left_out(prefix, tmp_path):
    weights = vqgan_weights()
    others = {"cond_stage_model.encoder.conv_in.weight": torch.zeros(1)} if prefix else {}
    checkpoint = Checkpoint(tmp_path / "x.ckpt", prefixed(prefix, weights) | others, {})
    assert take_part(checkpoint, "vqgan").keys() == weights.keys()
    assert not holds(checkpoint, "transformer")
