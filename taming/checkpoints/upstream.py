"""Published YAML configurations (taming-transformers, latent-diffusion) as configurations of ours.

A `target:` string is a key in one of the tables below, never an import. Names that only training used are known and
ignored; names that are not known are errors, because a model built without them would be another model.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any

from ..configs import check_names, config_from_dict
from ..errors import ConfigError
from ..models.transformer import TransformerConfig
from ..models.vqgan import VQModelConfig
from ..modules.layout import ConvLayout
from ..wording import shorten

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

NET2NET_TARGETS = ("taming.models.cond_transformer.Net2NetTransformer",)
NET2NET_KNOWN = frozenset(
    {"transformer_config", "first_stage_config", "cond_stage_config", "permuter_config", "unconditional", "sos_token"}
)
NET2NET_IGNORED = frozenset(
    {"ckpt_path", "ignore_keys", "first_stage_key", "cond_stage_key", "downsample_cond_size", "pkeep", "monitor"}
)
LATENT_DIFFUSION_TARGETS = ("ldm.models.diffusion.ddpm.LatentDiffusion",)  # only for its first stage
GPT_TARGETS = ("taming.modules.transformer.mingpt.GPT",)
GPT_KNOWN = frozenset(
    {"vocab_size", "block_size", "n_layer", "n_head", "n_embd", "n_unmasked"}
    | {"embd_pdrop", "resid_pdrop", "attn_pdrop"}
)
LABEL_TARGETS = ("taming.modules.util.Labelator",)
START_TOKEN_TARGETS = ("taming.modules.util.SOSProvider",)
PERMUTER_TARGETS = ("taming.modules.transformer.permuter.Identity",)


def vqgan_config(values: Mapping[str, Any], where: str) -> VQModelConfig:
    """The VQGAN that `values` describe: a published configuration (or its first stage), or the fields themselves.

    Raises: ConfigError, naming `where` the values are from.
    """
    node = _model_node(values)
    if "target" not in node:
        return config_from_dict(VQModelConfig, node, where)
    target = _check_target(node, (*VQGAN_TARGETS, *NET2NET_TARGETS, *LATENT_DIFFUSION_TARGETS), where)
    params = _params(node, where)
    if target not in VQGAN_TARGETS:
        first_stage = _mapping(params.get("first_stage_config"), f"{where}: first_stage_config")
        return vqgan_config(first_stage, f"{where}: first_stage_config")
    check_names(params, VQGAN_KNOWN | VQGAN_IGNORED, where)
    if params.get("remap") is not None:
        raise ConfigError(f"{where}: a remapped codebook (remap: {shorten(params['remap'])}) is not supported.")
    fields_given = {name: params[name] for name in ("n_embed", "embed_dim") if name in params}
    if VQGAN_TARGETS[target] == "gumbel":
        fields_given["kl_weight"] = params.get("kl_weight", PUBLISHED_KL_WEIGHT)
    layout = _layout(_mapping(params.get("ddconfig"), f"{where}: ddconfig"), f"{where}: ddconfig")
    return config_from_dict(VQModelConfig, {**layout, **fields_given, "quantizer": VQGAN_TARGETS[target]}, where)


def transformer_config(values: Mapping[str, Any], where: str) -> TransformerConfig:
    """The transformer that `values` describe: a published Net2Net configuration, or the fields themselves.

    Raises: ConfigError, naming `where` the values are from.
    """
    node = _model_node(values)
    if "target" not in node:
        return config_from_dict(TransformerConfig, node, where)
    _check_target(node, NET2NET_TARGETS, where)
    params = _params(node, where)
    check_names(params, NET2NET_KNOWN | NET2NET_IGNORED, where)
    gpt_node = _mapping(params.get("transformer_config"), f"{where}: transformer_config")
    _check_target(gpt_node, GPT_TARGETS, f"{where}: transformer_config")
    gpt = _params(gpt_node, f"{where}: transformer_config")
    check_names(gpt, GPT_KNOWN, f"{where}: transformer_config")
    if params.get("permuter_config") is not None:
        permuter = _mapping(params["permuter_config"], f"{where}: permuter_config")
        _check_target(permuter, PERMUTER_TARGETS, f"{where}: permuter_config")
    first_stage = first_stage_config(values, where)
    config = config_from_dict(TransformerConfig, {**gpt, "condition": _condition(params, where)}, where)
    side = math.isqrt(config.block_size) if first_stage is None else first_stage.resolution // first_stage.factor
    return replace(config, grid=(side, side))


def first_stage_config(values: Mapping[str, Any], where: str) -> VQModelConfig | None:
    """The VQGAN that a published transformer configuration names as its first stage, if it names one."""
    node = _model_node(values)
    if "target" not in node or _params(node, where).get("first_stage_config") is None:
        return None
    return vqgan_config(values, where)


def _model_node(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The `model:` part of a whole training configuration; `values` themselves if they are that part."""
    model = values.get("model")
    return model if isinstance(model, Mapping) else values


def _check_target(node: Mapping[str, Any], known: Iterable[str], where: str) -> str:
    target = node.get("target")
    if not isinstance(target, str) or target not in known:
        raise ConfigError(
            f"{where}: unknown target {shorten(target)}. A target is never imported; "
            f"known here are {', '.join(sorted(known))}."
        )
    return target


def _params(node: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    return _mapping(node.get("params"), f"{where}: params")


def _mapping(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where}: expected names and values, found {shorten(value)}.")
    return value


def _layout(ddconfig: Mapping[str, Any], where: str) -> dict[str, Any]:
    names = {field.name for field in fields(ConvLayout)}
    check_names(ddconfig, names | set(DDCONFIG_FIXED), where)
    for name, value in DDCONFIG_FIXED.items():
        if ddconfig.get(name, value) != value:
            raise ConfigError(f"{where}: {name}: {shorten(ddconfig[name])} is not supported, only {value}.")
    return {name: value for name, value in ddconfig.items() if name in names}


def _condition(params: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Fields of the ConditionConfig; a stage is named by a marker or by a target."""
    where = f"{where}: cond_stage_config"
    stage = params.get("cond_stage_config")
    if params.get("unconditional") is True or stage == "__is_unconditional__":
        return {"kind": "unconditional", "sos_token": params.get("sos_token", 0)}
    if not isinstance(stage, Mapping):
        raise ConfigError(f"{where}: {shorten(stage)} is not supported; known here is __is_unconditional__.")
    target = _check_target(stage, (*LABEL_TARGETS, *START_TOKEN_TARGETS), where)
    stage_params = _params(stage, where)
    if target in START_TOKEN_TARGETS:
        check_names(stage_params, ("sos_token", "quantize_interface"), where)
        return {"kind": "unconditional", "sos_token": stage_params.get("sos_token", 0)}
    check_names(stage_params, ("n_classes", "quantize_interface"), where)
    return {"kind": "class", "num_classes": stage_params.get("n_classes", 0)}
