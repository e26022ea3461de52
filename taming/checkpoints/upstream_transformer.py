"""Published configurations of transformers as configurations of ours."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..configs import check_names, config_from_dict
from ..errors import ConfigError
from ..models.transformer import TransformerConfig
from ..models.vqgan import VQModelConfig
from ..wording import shorten
from .upstream import check_target, mapping, model_node, params_of
from .upstream_vqgan import vqgan_config

NET2NET_TARGETS = ("taming.models.cond_transformer.Net2NetTransformer",)
NET2NET_KNOWN = frozenset(
    {"transformer_config", "first_stage_config", "cond_stage_config", "permuter_config", "unconditional", "sos_token"}
)
NET2NET_IGNORED = frozenset(
    {"ckpt_path", "ignore_keys", "first_stage_key", "cond_stage_key", "downsample_cond_size", "pkeep", "monitor"}
)
GPT_TARGETS = ("taming.modules.transformer.mingpt.GPT",)
GPT_KNOWN = frozenset(
    {"vocab_size", "block_size", "n_layer", "n_head", "n_embd", "n_unmasked"}
    | {"embd_pdrop", "resid_pdrop", "attn_pdrop"}
)
LABEL_TARGETS = ("taming.modules.util.Labelator",)
START_TOKEN_TARGETS = ("taming.modules.util.SOSProvider",)
PERMUTER_TARGETS = ("taming.modules.transformer.permuter.Identity",)


def transformer_config(values: Mapping[str, Any], where: str) -> TransformerConfig:
    """The transformer that `values` describe: a published Net2Net configuration, or the fields themselves.

    Raises: ConfigError, naming `where` the values are from.
    """
    node = model_node(values)
    if "target" not in node:
        return config_from_dict(TransformerConfig, node, where)
    check_target(node, NET2NET_TARGETS, where)
    params = params_of(node, where)
    check_names(params, NET2NET_KNOWN | NET2NET_IGNORED, where)
    gpt_node = mapping(params.get("transformer_config"), f"{where}: transformer_config")
    check_target(gpt_node, GPT_TARGETS, f"{where}: transformer_config")
    gpt = params_of(gpt_node, f"{where}: transformer_config")
    check_names(gpt, GPT_KNOWN, f"{where}: transformer_config")
    if params.get("permuter_config") is not None:
        permuter = mapping(params["permuter_config"], f"{where}: permuter_config")
        check_target(permuter, PERMUTER_TARGETS, f"{where}: permuter_config")
    first_stage = first_stage_config(values, where)
    config = config_from_dict(TransformerConfig, {**gpt, "condition": _condition(params, where)}, where)
    side = math.isqrt(config.block_size) if first_stage is None else first_stage.resolution // first_stage.factor
    return replace(config, grid=(side, side))


def first_stage_config(values: Mapping[str, Any], where: str) -> VQModelConfig | None:
    """The VQGAN that a published transformer configuration names as its first stage, if it names one."""
    node = model_node(values)
    if "target" not in node or params_of(node, where).get("first_stage_config") is None:
        return None
    return vqgan_config(values, where)


def _condition(params: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Fields of the ConditionConfig; a stage is named by a marker or by a target."""
    where = f"{where}: cond_stage_config"
    stage = params.get("cond_stage_config")
    if params.get("unconditional") is True or stage == "__is_unconditional__":
        return {"kind": "unconditional", "sos_token": params.get("sos_token", 0)}
    if not isinstance(stage, Mapping):
        raise ConfigError(f"{where}: {shorten(stage)} is not supported; known here is __is_unconditional__.")
    target = check_target(stage, (*LABEL_TARGETS, *START_TOKEN_TARGETS), where)
    stage_params = params_of(stage, where)
    if target in START_TOKEN_TARGETS:
        check_names(stage_params, ("sos_token", "quantize_interface"), where)
        return {"kind": "unconditional", "sos_token": stage_params.get("sos_token", 0)}
    check_names(stage_params, ("n_classes", "quantize_interface"), where)
    return {"kind": "class", "num_classes": stage_params.get("n_classes", 0)}
