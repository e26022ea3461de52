"""The `config.json` of a diffusers `VQModel` as a configuration of ours (diffusers 0.42, autoencoders/vq_model.py)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..configs import check_names, config_from_dict
from ..errors import ConfigError
from ..models.vqgan import VQModelConfig
from ..text import shorten

RENAMED = {  # their name: ours
    "in_channels": "in_channels",
    "out_channels": "out_ch",
    "latent_channels": "z_channels",
    "layers_per_block": "num_res_blocks",
    "num_vq_embeddings": "n_embed",
    "vq_embed_dim": "embed_dim",
    "mid_block_add_attention": "mid_attention",
}
DEFAULTS: dict[str, Any] = {
    "block_out_channels": (64,),
    "down_block_types": ("DownEncoderBlock2D",),
    "layers_per_block": 1,
    "latent_channels": 3,
    "num_vq_embeddings": 256,
}
FIXED = {"act_fn": "silu", "norm_num_groups": 32, "norm_type": "group"}
IGNORED = {"up_block_types", "sample_size", "scaling_factor", "lookup_from_codebook", "force_upcast"}
ATTENDS = {"DownEncoderBlock2D": False, "AttnDownEncoderBlock2D": True}
RESOLUTION = 256  # only places the attention


def diffusers_config(values: Mapping[str, Any], where: str) -> VQModelConfig:
    """The VQGAN that a diffusers configuration describes.

    Raises: ConfigError, naming `where` the values are from.
    """
    if values["_class_name"] != "VQModel":
        raise ConfigError(f"{where} describes a {shorten(values['_class_name'])} of diffusers, not a VQModel.")
    values = DEFAULTS | {name: value for name, value in values.items() if not str(name).startswith("_")}
    check_names(values, {*RENAMED, *DEFAULTS, *FIXED, *IGNORED}, where)
    check_fixed(values, FIXED, where)
    if values.get("vq_embed_dim") is None:
        values["vq_embed_dim"] = values["latent_channels"]
    widths, blocks = values["block_out_channels"], values["down_block_types"]
    if not isinstance(widths, list | tuple) or not all(type(w) is int and w > 0 and w % widths[0] == 0 for w in widths):
        raise ConfigError(f"{where}: block_out_channels: {shorten(widths)} are not multiples of the first.")
    if not isinstance(blocks, list | tuple) or not all(isinstance(b, str) and b in ATTENDS for b in blocks):
        raise ConfigError(f"{where}: down_block_types: {shorten(blocks)}; supported are {', '.join(ATTENDS)}.")
    fields = {ours: values[theirs] for theirs, ours in RENAMED.items() if theirs in values}
    fields |= {"ch": widths[0] if widths else 0, "ch_mult": [width // widths[0] for width in widths]}
    fields |= {"resolution": RESOLUTION}
    fields |= {"attn_resolutions": [RESOLUTION >> level for level, block in enumerate(blocks) if ATTENDS[block]]}
    # The masked generators (aMUSEd, Meissonic) look codes up, and their pipelines keep pictures in [0, 1].
    fields |= {"pixel_range": "unit" if values.get("lookup_from_codebook") is True else "signed"}
    return config_from_dict(VQModelConfig, fields, where)


def check_fixed(values: Mapping[str, Any], fixed: Mapping[str, object], where: str) -> None:
    """Raise ConfigError if one of `values` asks for what is not built here: each of `fixed` has one value only."""
    for name, value in fixed.items():
        if values.get(name, value) != value:
            raise ConfigError(f"{where}: {name}: {shorten(values[name])} is not supported, only {value}.")
