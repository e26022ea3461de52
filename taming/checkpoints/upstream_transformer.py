"""Published configurations of transformers as configurations of ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..conditioning import ConditionConfig
from ..configs import check_names, config_from_dict
from ..errors import ConfigError
from ..models.transformer import TransformerConfig
from ..models.vqgan import VQModelConfig
from ..text import shorten
from .permuters import ORDERS, Order
from .upstream import check_target, mapping, model_node, params_of
from .upstream_condition import IS_FIRST_STAGE, condition_config, describes_maps
from .upstream_vqgan import vqgan_config

NET2NET_TARGETS = ("taming.models.cond_transformer.Net2NetTransformer",)
NET2NET_KNOWN = frozenset(
    {"transformer_config", "first_stage_config", "cond_stage_config", "permuter_config", "unconditional", "sos_token"}
    | {"cond_stage_key", "downsample_cond_size"}
)
NET2NET_IGNORED = frozenset({"ckpt_path", "ignore_keys", "first_stage_key", "pkeep", "monitor"})
GPT_TARGETS = ("taming.modules.transformer.mingpt.GPT",)
GPT_KNOWN = frozenset(
    {"vocab_size", "block_size", "n_layer", "n_head", "n_embd", "n_unmasked"}
    | {"embd_pdrop", "resid_pdrop", "attn_pdrop"}
)


@dataclass(frozen=True)
class Net2NetConfig:
    """A transformer as a published configuration describes it, with what it was trained on."""

    transformer: TransformerConfig
    first_stage: VQModelConfig | None  # where it is described
    cond_stage: VQModelConfig | None  # the VQGAN of its maps, where it reads maps
    shares_first_stage: bool  # that VQGAN is the first stage


def net2net_config(values: Mapping[str, Any], where: str, num_used: int = 0) -> Net2NetConfig:
    """The transformer that `values` describe: a published Net2Net configuration, or the fields themselves.

    `num_used` is the length of the list of codes that a remapped first stage has in the weights.

    Raises: ConfigError, naming `where` the values are from.
    """
    node = model_node(values)
    if "target" not in node:
        return Net2NetConfig(config_from_dict(TransformerConfig, node, where), None, None, False)
    check_target(node, NET2NET_TARGETS, where)
    params = params_of(node, where)
    check_names(params, NET2NET_KNOWN | NET2NET_IGNORED, where)
    first_stage = None
    if params.get("first_stage_config") is not None:
        first_stage = vqgan_config(params["first_stage_config"], f"{where}: first_stage_config", num_used)
    shares = params.get("cond_stage_config") == IS_FIRST_STAGE
    cond_stage = first_stage if shares else None
    if describes_maps(params) and not shares:
        cond_stage = vqgan_config(params["cond_stage_config"], f"{where}: cond_stage_config")
    condition = condition_config(params, cond_stage, values.get("data"), where)
    transformer = _gpt_config(params, condition, where)
    grid = _grid(transformer, first_stage)
    order = _order(params.get("permuter_config"), grid, f"{where}: permuter_config")
    return Net2NetConfig(replace(transformer, grid=grid, order=order), first_stage, cond_stage, shares)


def _gpt_config(params: Mapping[str, Any], condition: ConditionConfig, where: str) -> TransformerConfig:
    where = f"{where}: transformer_config"
    node = mapping(params.get("transformer_config"), where)
    check_target(node, GPT_TARGETS, where)
    gpt = params_of(node, where)
    check_names(gpt, GPT_KNOWN, where)
    return replace(config_from_dict(TransformerConfig, gpt, where), condition=condition)


def _grid(config: TransformerConfig, first_stage: VQModelConfig | None) -> tuple[int, int]:
    """The grid that a model was trained on: pictures of the first stage's resolution, at most what fits."""
    longest = config.block_size + 1  # the last cell is never read
    sides = [side for side in range(1, 257) if config.condition.length(side, side) + side * side <= longest]
    side = max(sides, default=1)
    if first_stage is not None:
        side = min(side, first_stage.resolution // first_stage.factor)
    return side, side


def _order(permuter: object, grid: tuple[int, int], where: str) -> Order:
    if permuter is None:
        return ()
    node = mapping(permuter, where)
    target = check_target(node, ORDERS, where)
    params = params_of(node, where) if node.get("params") is not None else {}
    check_names(params, ("H", "W"), where)
    if params and (params.get("H"), params.get("W")) != grid:
        raise ConfigError(
            f"{where}: it permutes {shorten(params.get('H'))} x {shorten(params.get('W'))} cells, and the model draws "
            f"{grid[0]} x {grid[1]}."
        )
    return ORDERS[target](*grid)
