"""Files of many families to first stages: layouts, averages, remaps, configurations, and what is refused by name."""

import json
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from published import fill, vqgan_shapes, vqgan_weights, vqgan_yaml
from taming.checkpoints import load_vqgan
from taming.checkpoints.layouts import LAYOUTS, in_published_layout
from taming.checkpoints.upstream_vqgan import vqgan_config
from taming.errors import ConfigError, TamingError, UnsupportedCheckpointError

PICTURE = torch.linspace(-1, 1, 3 * 8 * 8).view(1, 3, 8, 8)
DIFFUSERS = {"_class_name": "VQModel", "_diffusers_version": "0.42.1", "block_out_channels": [32, 64]}
DIFFUSERS |= {"down_block_types": ["DownEncoderBlock2D", "AttnDownEncoderBlock2D"], "num_vq_embeddings": 24}


def save(folder, weights: dict[str, Tensor], config: object = None):
    path = folder / "vqgan.safetensors"
    safetensors.torch.save_file({key: value.contiguous() for key, value in weights.items()}, path)
    if config is not None:
        path.with_suffix(".yaml").write_text(json.dumps(config))  # JSON is YAML
    return path


def as_llamagen(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of two levels under the names that LlamaGen's module tree gives them."""
    names = [("encoder.down.", "encoder.conv_blocks."), (".block.", ".res.")]
    names += [("decoder.up.1.", "decoder.conv_blocks.0."), ("decoder.up.0.", "decoder.conv_blocks.1.")]
    names += [("mid.block_1.", "mid.0."), ("mid.attn_1.", "mid.1."), ("mid.block_2.", "mid.2.")]
    return renamed(weights, names) | {"quantize.codebook_used": torch.zeros(65536)}


def as_old_diffusers(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of two levels as diffusers of 2022 saved them, with attention spelled query, key, value, proj_attn."""
    names = [("encoder.down.", "encoder.down_blocks."), (".block.", ".resnets.")]
    names += [("decoder.up.1.", "decoder.up_blocks.0."), ("decoder.up.0.", "decoder.up_blocks.1.")]
    names += [("mid.block_1.", "mid_block.resnets.0."), ("mid.block_2.", "mid_block.resnets.1.")]
    names += [(".downsample.", ".downsamplers.0."), (".upsample.", ".upsamplers.0."), ("norm_out", "conv_norm_out")]
    names += [(".attn.", ".attentions."), ("mid.attn_1.", "mid_block.attentions.0."), ("nin_short", "conv_short")]
    flat = {key: value[..., 0, 0] if "attn" in key and value.ndim == 4 else value for key, value in weights.items()}
    attention = [(".q.", ".query."), (".k.", ".key."), (".v.", ".value."), (".proj_out.", ".proj_attn.")]
    spelled = renamed(flat, names + attention)
    return {key.replace(".norm.", ".group_norm.") if "attentions" in key else key: v for key, v in spelled.items()}


def renamed(weights: dict[str, Tensor], names: list[tuple[str, str]]) -> dict[str, Tensor]:
    result = {}
    for key, value in weights.items():
        for old, new in names:
            key = key.replace(old, new)
        result[key] = value
    return result


@pytest.mark.parametrize("spell", [as_llamagen, as_old_diffusers])
def test_another_layout_is_the_published_one_with_other_names(spell):
    weights = vqgan_weights()
    spelled = spell(weights)
    assert spelled.keys() != weights.keys()
    again = in_published_layout(spelled, "x")
    again.pop("quantize.codebook_used", None)
    assert again.keys() == weights.keys()
    assert all(torch.equal(again[key], weights[key]) for key in weights)


def test_the_published_layout_is_left_as_it_is():
    weights = vqgan_weights()
    assert in_published_layout(weights, "x") is weights


@pytest.mark.parametrize("spell", [as_llamagen, as_old_diffusers])
def test_a_file_of_another_layout_loads_and_decodes_like_its_weights(spell, tmp_path):
    plain = load_vqgan(save(tmp_path, vqgan_weights()))
    other = load_vqgan(save(tmp_path, spell(vqgan_weights())))
    indices = torch.arange(16).view(1, 4, 4)
    if spell is as_llamagen:
        assert other.config.quantizer == "cosine"
        assert torch.equal(other.decoder(PICTURE.new_ones(1, 16, 4, 4)), plain.decoder(PICTURE.new_ones(1, 16, 4, 4)))
    else:
        assert torch.equal(other.decode_indices(indices), plain.decode_indices(indices))


def test_a_file_that_mixes_spellings_is_refused():
    weights = as_old_diffusers(vqgan_weights())
    weights["encoder.mid_block.attentions.0.to_q.weight"] = torch.zeros(64, 64)
    with pytest.raises(UnsupportedCheckpointError, match="twice"):
        in_published_layout(weights, "x")


def test_no_layout_mistakes_the_published_one_for_its_own():
    keys = [*vqgan_shapes(), *vqgan_shapes(quantizer="ema"), *vqgan_shapes(quantizer="gumbel")]
    for layout in LAYOUTS:
        marked = {key: torch.zeros(1) for key in keys}
        assert in_published_layout(marked, "x") is marked, layout.marker


def test_running_averages_replace_the_last_weights(tmp_path):
    last, averaged = vqgan_weights(1), vqgan_weights(2)
    shadow = {f"model_ema.{key.replace('.', '')}": value for key, value in averaged.items() if key != "quant_conv.bias"}
    shadow |= {"model_ema.decay": torch.tensor(0.99), "model_ema.num_updates": torch.tensor(5)}
    state = load_vqgan(save(tmp_path, last | shadow)).state_dict()
    assert all(torch.equal(state[key], (last if key == "quant_conv.bias" else averaged)[key]) for key in state)


def remapped_weights(used: list[float], dtype: torch.dtype = torch.int64) -> dict[str, Tensor]:
    return vqgan_weights() | {"quantize.used": torch.tensor(used, dtype=dtype)}


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64, torch.float32])
@pytest.mark.parametrize("with_yaml", [True, False])
def test_a_remapped_codebook_counts_the_codes_in_use(dtype, with_yaml, tmp_path):
    config = vqgan_yaml(remap="data/used.npy") if with_yaml else None
    vqgan = load_vqgan(save(tmp_path, remapped_weights([5, 17, 2], dtype), config))
    assert (vqgan.config.num_used, vqgan.config.num_tokens, vqgan.config.n_embed) == (3, 3, 24)
    indices = vqgan.encode(PICTURE).indices
    assert indices.max() < 3 and torch.equal(indices, vqgan.encode(PICTURE).indices)
    codes = vqgan.state_dict()["quantize.embedding.weight"][torch.tensor([5, 17, 2])[indices]]
    assert torch.equal(vqgan.quantize.lookup(indices), codes.permute(0, 3, 1, 2))


@pytest.mark.parametrize("used", [[1.0, 1.0], [-1.0, 2.0], [0.0, 24.0], [0.5, 2.0], [float("nan"), 2.0]])
def test_a_list_of_used_codes_that_makes_no_sense_is_refused(used, tmp_path):
    with pytest.raises(UnsupportedCheckpointError, match="remapped codebook"):
        load_vqgan(save(tmp_path, remapped_weights(used, torch.float32)))


@pytest.mark.parametrize(
    ("weights", "config", "message"),
    [
        (vqgan_weights(), vqgan_yaml(remap="used.npy"), "quantize.used"),
        (remapped_weights([1, 2]), vqgan_yaml(), "num_used 0, the weights have 2"),
        (
            vqgan_weights(),
            vqgan_yaml(ddconfig={**vqgan_yaml()["model"]["params"]["ddconfig"], "attn_type": "none"}),
            "mid",
        ),
        (vqgan_weights(mid_attention=False), vqgan_yaml(), "mid_attention True, the weights have False"),
    ],
)
def test_a_configuration_that_the_weights_contradict_is_refused(weights, config, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        load_vqgan(save(tmp_path, weights, config))


@pytest.mark.parametrize("quantizer", ["vq", "cosine", "dot"])
def test_a_configuration_decides_how_codes_of_one_kind_of_file_are_chosen(quantizer, tmp_path):
    path = save(tmp_path, vqgan_weights())
    fields = {**vqgan_yaml()["model"]["params"]["ddconfig"], "n_embed": 24, "embed_dim": 8, "quantizer": quantizer}
    del fields["double_z"]
    assert load_vqgan(path, fields).config.quantizer == quantizer
    with pytest.raises(ConfigError, match="quantizer"):
        load_vqgan(save(tmp_path, vqgan_weights(quantizer="gumbel")), fields)


IBQ_SHAPES: dict[str, Any] = {"ch_mult": (1, 1, 2, 2, 4), "num_res_blocks": 4, "attn_levels": (4,), "embed_dim": 16}


@pytest.mark.parametrize(("blocks", "quantizer"), [(4, "dot"), (2, "vq")])
def test_the_architecture_of_ibq_is_recognized(blocks, quantizer, tmp_path):
    weights = vqgan_weights(**IBQ_SHAPES | {"num_res_blocks": blocks})
    assert load_vqgan(save(tmp_path, weights)).config.quantizer == quantizer


def test_a_diffusers_configuration_is_read_from_its_json(tmp_path):
    weights = as_old_diffusers(vqgan_weights(z_channels=3, embed_dim=3))
    path = tmp_path / "config.json"
    path.write_text(json.dumps(DIFFUSERS))
    config = load_vqgan(save(tmp_path, weights), path).config
    assert (config.z_channels, config.embed_dim, config.num_res_blocks, config.ch_mult) == (3, 3, 1, (1, 2))
    assert [config.has_attention(level) for level in range(2)] == [False, True]
    assert config.pixel_range == "signed"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"_class_name": "AutoencoderKL"}, "'AutoencoderKL' of diffusers, not a VQModel"),
        ({"_class_name": ["VQModel"]}, "not a VQModel"),
        ({"norm_type": "spatial"}, "norm_type: 'spatial' is not supported"),
        ({"norm_num_groups": 16}, "norm_num_groups: 16 is not supported"),
        ({"block_out_channels": [32, 48]}, "not multiples of the first"),
        ({"block_out_channels": "32"}, "block_out_channels"),
        ({"block_out_channels": []}, "ch: expected a whole number"),
        ({"down_block_types": ["SkipDownBlock2D"]}, "SkipDownBlock2D"),
        ({"down_block_types": [{}, []]}, "down_block_types"),
        ({"latent_chanels": 4}, "did you mean latent_channels"),
    ],
)
def test_a_diffusers_configuration_that_is_not_ours_is_refused_in_words(changes, message):
    with pytest.raises(ConfigError, match=message):
        vqgan_config(DIFFUSERS | changes, "config.json")


@pytest.mark.parametrize("target", ["src.IBQ.models.ibqgan.IBQ", "OpenImageTokenizer.IBQ.models.ibqgan.IBQ"])
def test_the_configurations_of_ibq_name_a_class_path(target):
    params = vqgan_yaml()["model"]["params"] | {"use_ema": True, "beta": 0.5, "l2_normalize": False}
    config = vqgan_config({"model": {"class_path": target, "init_args": params}}, "x.yaml")
    assert (config.quantizer, config.beta) == ("dot", 0.5)
    with pytest.raises(ConfigError, match="l2_normalize"):
        vqgan_config({"model": {"class_path": target, "init_args": params | {"l2_normalize": True}}}, "x.yaml")
    with pytest.raises(ConfigError, match="unknown target"):
        vqgan_config({"model": {"class_path": "os.system", "init_args": params}}, "x.yaml")


OTHERS = {  # keys that tell a family, and how it is named
    "VAR": {"quantize.ema_vocab_hit_SV": (10, 24), "quantize.quant_resi.qresi_ls.0.weight": (8, 8, 3, 3)},
    "RQ-VAE": {"quantizer.codebooks.0.weight": (25, 8)},
    "MoVQ": {"decoder.mid.block_1.norm1.conv_y.weight": (64, 8, 1, 1)},
    "Open-MAGVIT2": {"encoder.mid_block.0.norm1.weight": (64,)},
    "Show-o": {"encoder.quant_conv.weight": (13, 13, 1, 1), "quantize.embedding": (8192, 13)},
    "MaskGIT-VQGAN": {"encoder.mid.0.norm1.weight": (64,)},
    "linear attention": {"encoder.mid.attn_1.to_qkv.weight": (192, 64, 1, 1)},
    "dome272": {"encoder.model.0.weight": (32, 3, 3, 3)},
    "LoRA": {"unet.lora_up.weight": (4, 4)},
    "GPT-2": {"transformer.wte.weight": (4, 4)},
    "diffusion model": {"model.diffusion_model.input_blocks.0.0.weight": (4, 4)},
}
WITH_ANCHOR = ("VAR", "RQ-VAE", "MoVQ", "Open-MAGVIT2", "Show-o", "MaskGIT-VQGAN", "linear attention")


@pytest.mark.parametrize("family", OTHERS)
def test_other_families_are_refused_by_name(family, tmp_path):
    anchor = vqgan_weights() if family in WITH_ANCHOR else {}
    path = save(tmp_path, anchor | fill(OTHERS[family], 0))
    with pytest.raises(TamingError) as error:
        load_vqgan(path)
    assert isinstance(error.value, UnsupportedCheckpointError)
    assert family in str(error.value) and "vqgan.safetensors" in str(error.value)
    assert "\n" not in str(error.value) and len(str(error.value)) < 400
