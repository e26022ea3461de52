"""Every published first stage against its family's own definition, on random weights saved as the files are.

The definition is the reference's classes, the diffusers package, or `tests/oracles`. Tokens are equal, all of them;
pixels agree within 3e-5 relative, latents within 1e-5, as in test_vqgan_parity.
"""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oracles import ibq, llamagen
from taming.checkpoints import load_vqgan
from taming.checkpoints.upstream_vqgan import vqgan_config
from taming.models import VQModel

TOLERANCE = 1e-5
PIXEL_TOLERANCE = 3e-5  # convolutions on channels-last pictures sum in another order
DDCONFIG = {"double_z": False, "resolution": 256, "in_channels": 3, "out_ch": 3, "ch": 128}
DDCONFIG |= {"num_res_blocks": 2, "dropout": 0.0}
F16 = {**DDCONFIG, "ch_mult": [1, 1, 2, 2, 4], "attn_resolutions": [16], "z_channels": 256}
F8 = {**DDCONFIG, "ch_mult": [1, 1, 2, 4], "attn_resolutions": [32], "z_channels": 256}
LDM_F8 = {**DDCONFIG, "ch_mult": [1, 2, 2, 4], "attn_resolutions": [32], "z_channels": 4}
LDM_F4 = {**DDCONFIG, "ch_mult": [1, 2, 4], "attn_resolutions": [], "z_channels": 3}
ALL_PUBLISHED = {  # name: class, ddconfig, n_embed, parameters without the loss
    "imagenet f16 1024, faceshq": ("VQModel", F16, 1024, 72_141_699),
    "imagenet f16 16384, wikiart, boris, minDALL-E": ("VQModel", F16, 16384, 76_073_859),
    "gumbel f8, rudalle": ("GumbelVQ", F8, 8192, 68_995_971),
    "depth": ("VQModel", F16 | {"in_channels": 1, "out_ch": 1}, 1024, 72_137_089),
    "ade20k first stage": ("VQModel", F16, 4096, 72_928_131),
    "ade20k segmentation": ("VQModel", F16 | {"in_channels": 151, "out_ch": 151}, 1024, 72_482_839),
    "sflckr segmentation": ("VQModel", F16 | {"in_channels": 182, "out_ch": 182}, 1024, 72_554_294),
    "coco segmentation": ("VQModel", F16 | {"in_channels": 183, "out_ch": 183}, 1024, 72_556_599),
    "coco, coco_oi": ("VQModel", F16, 8192, 73_976_707),
    "ldm f4": ("VQModel", LDM_F4, 8192, 55_322_782),
    "ldm f4 noattn": ("VQModel", LDM_F4 | {"attn_type": "none"}, 8192, 53_219_486),
    "ldm f8": ("VQModel", LDM_F8, 16384, 67_717_295),
    "ldm f8 n256": ("VQModel", LDM_F8, 256, 67_652_783),
    "ldm f16": ("VQModel", F16 | {"z_channels": 8}, 16384, 69_593_371),
    "chameleon, anole, lumina-mgpt": ("VQModel", F16 | {"attn_resolutions": [], "resolution": 512}, 8192, 68_718_467),
}
UNUSED = {"lossconfig": {"target": "DummyLoss"}}
SMALL = {**DDCONFIG, "z_channels": 16, "resolution": 32, "ch": 32, "ch_mult": [1, 2, 2], "attn_resolutions": [8]}
SMALL |= {"num_res_blocks": 1}
ROWS: dict[str, dict[str, Any]] = {  # what differs from SMALL in the ddconfig, or from a VQModel of 96 codes
    "plain": {},
    "one channel": {"ddconfig": {"in_channels": 1, "out_ch": 1}},
    "151 channels": {"ddconfig": {"in_channels": 151, "out_ch": 151}, "colorize_nlabels": 151},
    "182 channels": {"ddconfig": {"in_channels": 182, "out_ch": 182}},
    "183 channels": {"ddconfig": {"in_channels": 183, "out_ch": 183}, "colorize_nlabels": 183},
    "gumbel": {"name": "GumbelVQ"},
    "ema": {"name": "EMAVQ"},
    "no attention on the levels": {"ddconfig": {"attn_resolutions": []}},
    "no attention at all": {"ddconfig": {"attn_type": "none"}},
    "narrow codes": {"ddconfig": {"z_channels": 3}},
}


def build_theirs(reference: SimpleNamespace, name: str, ddconfig: dict[str, Any], **params: Any) -> Any:
    """The reference's model; what the reference itself cannot build is made of it by leaving out or adding parts."""
    ddconfig = dict(ddconfig)
    attn_type = ddconfig.pop("attn_type", "vanilla")
    if attn_type == "none":
        ddconfig["attn_resolutions"] = []
    extra = {"temperature_scheduler_config": {"target": "DummyLoss"}} if name == "GumbelVQ" else {}
    model = getattr(reference, "VQModel" if name == "EMAVQ" else name)(
        ddconfig=ddconfig, **params, **UNUSED, **extra
    ).eval()
    if attn_type == "none":  # latent-diffusion's make_attn gives an identity
        model.encoder.mid.attn_1 = model.decoder.mid.attn_1 = nn.Identity()
    if name == "EMAVQ":
        n_embed, embed_dim = model.quantize.embedding.weight.shape
        model.quantize.embedding.register_buffer("cluster_size", torch.zeros(n_embed))
        model.quantize.embedding.register_buffer("embed_avg", torch.zeros(n_embed, embed_dim))
    return model


@pytest.mark.parametrize("name", ALL_PUBLISHED)
def test_a_published_configuration_has_the_references_keys_shapes_and_number_of_parameters(reference, name):
    kind, ddconfig, n_embed, num_parameters = ALL_PUBLISHED[name]
    params = {"ddconfig": ddconfig, "n_embed": n_embed, "embed_dim": ddconfig["z_channels"]}
    with torch.device("meta"):
        theirs = build_theirs(reference, kind, **params)
        values = {"model": {"target": f"taming.models.vqgan.{kind}", "params": params | UNUSED}}
        ours = VQModel(vqgan_config(values, "x.yaml"))
    assert shapes(ours) == shapes(theirs)
    assert sum(parameter.numel() for parameter in ours.parameters()) == num_parameters


def shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in model.state_dict().items()}


def picture(channels: int = 3, height: int = 32, width: int = 48) -> Tensor:
    """Something smooth with a little noise, (2, C, H, W) in about [-1, 1]."""
    generator = torch.Generator().manual_seed(7)
    coarse = torch.rand(2, channels, 4, 4, generator=generator)
    noise = torch.randn(2, channels, height, width, generator=generator)
    return F.interpolate(coarse, (height, width), mode="bicubic") * 2 - 1 + 0.05 * noise


def shake(model: nn.Module) -> None:
    """Give the group norms, which start as the identity, weights to be mistaken in."""
    for module in model.modules():
        if isinstance(module, nn.GroupNorm):
            nn.init.normal_(module.weight, 1.0, 0.2)
            nn.init.normal_(module.bias, 0.0, 0.2)


def spread_codes(codebook: Tensor, z: Tensor) -> None:
    """Put the codes (K, D) around the latents z (B, D, h, w), as training does, so that many of them are in use."""
    flat = z.permute(0, 2, 3, 1).flatten(0, 2)
    around = flat[torch.arange(len(codebook)) % len(flat)]
    codebook.copy_(around + 0.5 * flat.std() * torch.randn(codebook.shape))


@torch.no_grad()
def small_theirs(reference: SimpleNamespace, row: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The reference's small model of a row of ROWS, and its published parameters."""
    row = dict(row)
    name, ddconfig = row.pop("name", "VQModel"), SMALL | row.pop("ddconfig", {})
    params = {"ddconfig": ddconfig, "n_embed": 96, "embed_dim": ddconfig["z_channels"], **row}
    torch.manual_seed(0)
    theirs = build_theirs(reference, name, **params)
    shake(theirs)
    if name != "GumbelVQ":
        x = picture(ddconfig["in_channels"])
        spread_codes(theirs.quantize.embedding.weight, theirs.quant_conv(theirs.encoder(x)))
    return theirs, {"target": f"taming.models.vqgan.{name}", "params": params | UNUSED}


def bare(weights: dict[str, Tensor], config: dict[str, Any]) -> tuple[dict[str, Tensor], object]:
    return weights, {"model": config}


def in_net2net(weights: dict[str, Tensor], config: dict[str, Any]) -> tuple[dict[str, Tensor], object]:
    """Beside a transformer and a conditioning model of the same kind, which must not be taken for it."""
    others = {
        "transformer.tok_emb.weight": torch.zeros(8, 8),
        "cond_stage_model.encoder.conv_in.weight": torch.zeros(1),
    }
    target = "taming.models.cond_transformer.Net2NetTransformer"
    return under("first_stage_model.", weights) | others, {
        "model": {"target": target, "params": {"first_stage_config": config}}
    }


def in_latent_diffusion(weights: dict[str, Tensor], config: dict[str, Any]) -> tuple[dict[str, Tensor], object]:
    """Among thousands of keys of a diffusion model, its running averages, its schedule and its text encoder."""
    others = {f"model.diffusion_model.output_blocks.{i}.0.weight": torch.zeros(1) for i in range(1000)}
    others |= {f"model_ema.diffusion_modeloutput_blocks{i}0weight": torch.zeros(1) for i in range(1000)}
    others |= {"betas": torch.zeros(1000), "cond_stage_model.transformer.token_emb.weight": torch.zeros(1)}
    config = config | {"target": config["target"].replace("taming.models.vqgan.VQModel", INTERFACE)}
    params = {"first_stage_config": config, "unet_config": {"target": "ldm.modules.X"}, "timesteps": 1000}
    target = "ldm.models.diffusion.ddpm.LatentDiffusion"
    return others | under("first_stage_model.", weights), {"model": {"target": target, "params": params}}


INTERFACE = "ldm.models.autoencoder.VQModelInterface"
CONTAINERS: list[Callable[..., tuple[dict[str, Tensor], object]]] = [bare, in_net2net, in_latent_diffusion]


def under(prefix: str, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + key: value for key, value in weights.items()}


def save(folder: Path, weights: dict[str, Tensor], config: object = None) -> Path:
    path = folder / "last.ckpt"
    torch.save({"state_dict": weights, "global_step": 3}, path)
    if config is not None:
        path.with_suffix(".yaml").write_text(json.dumps(config))  # JSON is YAML
    return path


@pytest.mark.parametrize("with_yaml", [True, False], ids=["with yaml", "without"])
@pytest.mark.parametrize("container", CONTAINERS, ids=lambda container: container.__name__)
@pytest.mark.parametrize("row", ROWS)
@torch.no_grad()
def test_a_published_kind_is_the_references_in_every_container(reference, row, container, with_yaml, tmp_path):
    theirs, config = small_theirs(reference, ROWS[row])
    training = {"loss.discriminator.main.0.weight": torch.randn(4, 3, 4, 4)}
    weights, config = container(theirs.state_dict() | training, config)
    ours = load_vqgan(save(tmp_path, weights, config if with_yaml else None))
    x = picture(ours.config.in_channels)
    if ours.config.quantizer == "gumbel":
        indices = theirs.quantize.proj(theirs.quant_conv(theirs.encoder(x))).argmax(1)
    else:
        indices = theirs.encode(x)[2][2].view(2, 8, 12)
    assert_tokens_equal(ours.encode(x).indices, indices)
    assert_pixels_close(ours.decode_indices(indices), decode_theirs(theirs, indices))


def assert_tokens_equal(ours: Tensor, theirs: Tensor, at_least: int = 6) -> None:
    equal = (ours == theirs.view(ours.shape)).double().mean().item()
    assert equal == 1.0, f"{equal:.2%} of {theirs.numel()} tokens are equal"
    assert theirs.unique().numel() >= at_least, "too few codes are in use to tell anything"


def assert_close(ours: Tensor, theirs: Tensor, tolerance: float = TOLERANCE) -> None:
    error = float((ours - theirs).abs().max() / theirs.abs().max())
    assert error < tolerance, f"relative error {error:.1e}"


def assert_pixels_close(ours: Tensor, theirs: Tensor) -> None:
    assert_close(ours, theirs, PIXEL_TOLERANCE)


def decode_theirs(theirs: Any, indices: Tensor) -> Tensor:
    """What `get_codebook_entry` and `decode` make of `indices`, (B, h, w)."""
    shape = (*indices.shape, theirs.post_quant_conv.in_channels)
    return theirs.decode(theirs.quantize.get_codebook_entry(indices.reshape(-1), shape=shape))


@pytest.mark.parametrize("unknown", ["extra", 3, 0, "random"])
@torch.no_grad()
def test_a_remapped_codebook_has_the_references_tokens(reference, unknown, tmp_path):
    theirs, config = small_theirs(reference, {})
    codes = theirs.encode(picture())[2][2].unique()
    used = codes[torch.randperm(len(codes))[: len(codes) // 2]]  # half of what the picture needs, in no order
    np.save(tmp_path / "used.npy", used.numpy())
    quantize = reference.VectorQuantizer2(96, 16, 0.25, remap=str(tmp_path / "used.npy"), unknown_index=unknown)
    quantize.embedding = theirs.quantize.embedding
    theirs.quantize = quantize
    config["params"]["remap"] = "data/used.npy"
    path = save(tmp_path, theirs.state_dict(), {"model": config})
    ours = load_vqgan(path)
    assert ours.config.num_used == len(used) and ours.config.unknown_index is None
    if unknown != "random":  # a published YAML cannot say it
        given = {**dataclasses.asdict(ours.config), "unknown_index": len(used) if unknown == "extra" else unknown}
        ours = load_vqgan(path, given)
    assert ours.config.num_tokens == quantize.re_embed
    z_q, _, (_, _, indices) = theirs.encode(picture())
    quantized = ours.encode(picture())
    known = torch.isin(plain_codes(theirs), used).view(quantized.indices.shape)
    assert 0 < known.sum() < known.numel()
    judged = known if unknown == "random" else torch.ones_like(known)
    assert_tokens_equal(quantized.indices[judged], indices.view(known.shape)[judged], 3)
    assert_close(quantized.z_q, z_q)
    assert_pixels_close(ours.decode_indices(quantized.indices), decode_theirs(theirs, quantized.indices.clone()))


def plain_codes(theirs: Any) -> Tensor:
    theirs.quantize.remap = None
    codes = theirs.encode(picture())[2][2].flatten()
    theirs.quantize.remap = "used.npy"
    return codes


@torch.no_grad()
def test_a_remapped_gumbel_codebook_takes_the_likeliest_code_in_use(reference, tmp_path):
    theirs, config = small_theirs(reference, {"name": "GumbelVQ"})
    used = torch.randperm(96)[:40]
    np.save(tmp_path / "used.npy", used.numpy())
    quantize = reference.GumbelQuantize(16, 16, 96, remap=str(tmp_path / "used.npy"), unknown_index="random")
    quantize.proj, quantize.embed = theirs.quantize.proj, theirs.quantize.embed
    theirs.quantize = quantize.eval()
    config["params"]["remap"] = "used.npy"
    ours = load_vqgan(save(tmp_path, theirs.state_dict(), {"model": config}))
    with torch.random.fork_rng():
        torch.manual_seed(5)
        z_q, _, (_, _, indices) = theirs.encode(picture())
    drawn = ours.encode(picture(), torch.Generator().manual_seed(5))
    assert_tokens_equal(drawn.indices, indices)
    assert_close(drawn.z_q, z_q)
    likeliest = quantize.proj(theirs.quant_conv(theirs.encoder(picture())))[:, used].argmax(1)
    assert_tokens_equal(ours.encode(picture()).indices, likeliest, 3)
    assert_pixels_close(ours.decode_indices(likeliest), decode_theirs(theirs, likeliest))


@pytest.mark.parametrize("prefix", ["", "gen_vision_model."], ids=["LlamaGen", "Janus"])
@pytest.mark.parametrize("ch_mult", [(1, 1, 2, 2, 4), (1, 2, 2, 4), (1, 2)], ids=str)
@torch.no_grad()
def test_llamagen_and_janus_are_their_own_definition(prefix, ch_mult, tmp_path):
    torch.manual_seed(1)
    theirs = llamagen.VQModel(32, ch_mult, 32, 128, 8).eval()
    shake(theirs)
    x = picture(3, 64, 96)
    spread_codes(theirs.quantize.embedding.weight, theirs.quant_conv(theirs.encoder(x)))
    z_q, indices = theirs.encode(x)
    path = tmp_path / "vq_ds16_c2i.pt"
    others = {f"language_model.model.layers.{i}.weight": torch.zeros(1) for i in range(500)} if prefix else {}
    torch.save({"model": under(prefix, theirs.state_dict()) | others}, path)
    ours = load_vqgan(path)
    assert ours.config.quantizer == "cosine"
    quantized = ours.encode(x)
    assert_tokens_equal(quantized.indices, indices)
    assert_close(quantized.z_q, z_q)
    entries = theirs.quantize.get_codebook_entry(indices, z_q.shape)
    assert_pixels_close(ours.decode_indices(quantized.indices), theirs.decode(entries))


@pytest.mark.parametrize("ch_mult", [(1, 1, 2, 2, 4), (1, 2, 2, 4)], ids=["VQ-16", "VQ-8"])
def test_the_published_llamagen_sizes_have_as_many_parameters_here(ch_mult):
    layout = {**DDCONFIG, "ch_mult": ch_mult, "attn_resolutions": [256 >> (len(ch_mult) - 1)], "z_channels": 256}
    del layout["double_z"]
    with torch.device("meta"):
        theirs = llamagen.VQModel(128, ch_mult, 256, 16384, 8)
        values = {"n_embed": 16384, "embed_dim": 8, "quantizer": "cosine", **layout}
        ours = VQModel(vqgan_config(values, "x"))
    counts = [sum(parameter.numel() for parameter in model.parameters()) for model in (theirs, ours)]
    assert counts[0] == counts[1] > 69_000_000


@pytest.mark.parametrize("with_yaml", [True, False], ids=["with yaml", "without"])
@torch.no_grad()
def test_ibq_is_its_own_definition_with_the_averaged_weights(reference, with_yaml, tmp_path):
    ddconfig = SMALL | {"ch_mult": [1, 1, 2, 2, 4], "num_res_blocks": 4, "attn_resolutions": [2]}
    torch.manual_seed(2)
    theirs = build_theirs(reference, "VQModel", ddconfig, n_embed=128, embed_dim=16)
    theirs.quantize = ibq.IndexPropagationQuantize(128, 16)
    shake(theirs)
    x = picture(3, 64, 96)
    spread_codes(theirs.quantize.embedding.weight, theirs.quant_conv(theirs.encoder(x)))
    last = {key: torch.randn_like(value) for key, value in theirs.state_dict().items()}
    params = {"ddconfig": ddconfig, "n_embed": 128, "embed_dim": 16, "use_ema": True, "l2_normalize": False}
    config = {"model": {"class_path": "src.IBQ.models.ibqgan.IBQ", "init_args": params}, "seed_everything": True}
    ours = load_vqgan(save(tmp_path, last | ibq.averages(theirs), config if with_yaml else None))
    assert ours.config.quantizer == "dot"
    z_q, loss, (_, _, indices) = theirs.encode(x)
    quantized = ours.encode(x)
    assert_tokens_equal(quantized.indices, indices)
    assert_close(quantized.z_q, z_q)
    assert_close(quantized.loss, loss)
    assert_pixels_close(ours.decode_indices(quantized.indices), decode_theirs(theirs, quantized.indices))


DIFFUSERS = {
    "taming port": {
        "block_out_channels": (32, 64, 64),
        "down_block_types": ("DownEncoderBlock2D", "DownEncoderBlock2D", "AttnDownEncoderBlock2D"),
        "up_block_types": ("AttnUpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D"),
        "layers_per_block": 2,
        "latent_channels": 16,
        "vq_embed_dim": 8,
    },
    "latent diffusion port": {
        "block_out_channels": (32, 64),
        "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2,
    },
    "aMUSEd and Meissonic": {
        "block_out_channels": (32, 64, 64, 128, 192),
        "down_block_types": ("DownEncoderBlock2D",) * 5,
        "up_block_types": ("UpDecoderBlock2D",) * 5,
        "layers_per_block": 2,
        "latent_channels": 16,
        "mid_block_add_attention": False,
        "lookup_from_codebook": True,
        "force_upcast": True,
    },
}


@pytest.mark.parametrize("configured", [True, False], ids=["with config.json", "without"])
@pytest.mark.parametrize("name", DIFFUSERS)
@torch.no_grad()
def test_a_diffusers_model_is_that_of_the_package(name, configured, tmp_path):
    from diffusers import VQModel as Theirs  # seconds to import: only for this test

    torch.manual_seed(3)
    theirs = Theirs(num_vq_embeddings=96, **DIFFUSERS[name]).eval()
    shake(theirs)
    x = picture(3, 64, 96)
    own_range = (x + 1) / 2 if theirs.config.lookup_from_codebook else x  # what aMUSEd's pipelines pass
    spread_codes(theirs.quantize.embedding.weight, theirs.encode(own_range).latents)
    theirs.save_pretrained(tmp_path)
    weights = tmp_path / "diffusion_pytorch_model.safetensors"
    ours = load_vqgan(weights, tmp_path / "config.json" if configured else None)
    z = theirs.encode(own_range).latents
    z_q, _, (_, _, indices) = theirs.quantize(z)
    quantized = ours.encode(x)
    assert_tokens_equal(quantized.indices, indices)
    assert_close(quantized.z_q, z_q)
    entries = theirs.quantize.get_codebook_entry(indices, (2, *z.shape[2:], z.shape[1]))
    pixels = theirs.decoder(theirs.post_quant_conv(entries))
    assert_pixels_close(ours.decode_indices(quantized.indices), pixels * 2 - 1 if own_range is not x else pixels)
