"""Published configurations of VQGANs as configurations of ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ..configs import check_names, config_from_dict
from ..errors import ConfigError
from ..models.vqgan import VQModelConfig
from ..modules.layout import ConvLayout
from ..wording import shorten
from .upstream import check_target, mapping, model_node, params_of

VQGAN_TARGETS = {  # -> quantizer
    "taming.models.vqgan.VQModel": "vq",
    "taming.models.vqgan.GumbelVQ": "gumbel",
    "taming.models.vqgan.EMAVQ": "ema",
    "ldm.models.autoencoder.VQModel": "vq",
    "ldm.models.autoencoder.VQModelInterface": "vq",
}
VQGAN_KNOWN = frozenset({"ddconfig", "n_embed", "embed_dim", "remap", "kl_weight"})
VQGAN_IGNORED = frozenset(
    {"lossconfig", "ckpt_path", "ignore_keys", "image_key", "colorize_nlabels", "monitor", "sane_index_shape"}
    | {"temperature_scheduler_config", "batch_resize_range", "scheduler_config", "lr_g_factor", "use_ema"}
)
DDCONFIG_FIXED = {"double_z": False, "give_pre_end": False, "attn_type": "vanilla", "use_linear_attn": False}
PUBLISHED_KL_WEIGHT = 1e-8  # the reference's default where the file does not say
WHOLE_MODEL_TARGETS = (  # only for their first stage
    "taming.models.cond_transformer.Net2NetTransformer",
    "ldm.models.diffusion.ddpm.LatentDiffusion",
)


def vqgan_config(values: Mapping[str, Any], where: str) -> VQModelConfig:
    """The VQGAN that `values` describe: a published configuration (or its first stage), or the fields themselves.

    Raises: ConfigError, naming `where` the values are from.
    """
    node = model_node(values)
    if "target" not in node:
        return config_from_dict(VQModelConfig, node, where)
    target = check_target(node, (*VQGAN_TARGETS, *WHOLE_MODEL_TARGETS), where)
    params = params_of(node, where)
    if target not in VQGAN_TARGETS:
        first_stage = mapping(params.get("first_stage_config"), f"{where}: first_stage_config")
        return vqgan_config(first_stage, f"{where}: first_stage_config")
    check_names(params, VQGAN_KNOWN | VQGAN_IGNORED, where)
    if params.get("remap") is not None:
        raise ConfigError(f"{where}: a remapped codebook (remap: {shorten(params['remap'])}) is not supported.")
    fields_given = {name: params[name] for name in ("n_embed", "embed_dim") if name in params}
    if VQGAN_TARGETS[target] == "gumbel":
        fields_given["kl_weight"] = params.get("kl_weight", PUBLISHED_KL_WEIGHT)
    layout = _layout(mapping(params.get("ddconfig"), f"{where}: ddconfig"), f"{where}: ddconfig")
    return config_from_dict(VQModelConfig, {**layout, **fields_given, "quantizer": VQGAN_TARGETS[target]}, where)


def _layout(ddconfig: Mapping[str, Any], where: str) -> dict[str, Any]:
    names = {field.name for field in fields(ConvLayout)}
    check_names(ddconfig, names | set(DDCONFIG_FIXED), where)
    for name, value in DDCONFIG_FIXED.items():
        if ddconfig.get(name, value) != value:
            raise ConfigError(f"{where}: {name}: {shorten(ddconfig[name])} is not supported, only {value}.")
    return {name: value for name, value in ddconfig.items() if name in names}
