"""Files to models, with no memory wasted."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar

import torch
from torch import nn

from ..models.transformer import Transformer
from ..models.vqgan import VQModel
from . import blank_layers
from .config_source import ConfigInput, StrPath, find_config
from .parts import holds
from .plan_transformer import TransformerPlan, plan_transformer
from .plan_vqgan import VQGANPlan, plan_vqgan, vqgan_plan
from .read import read_checkpoint

Model = TypeVar("Model", bound=nn.Module)


def load_vqgan(path: StrPath, config: ConfigInput = None, operations: ModuleType = blank_layers) -> VQModel:
    """Load a VQGAN, in float32 and eval mode, from its own file or from a whole transformer checkpoint.

    `config` is a YAML path or a mapping; by default it is found beside or in the file.

    Raises: CheckpointError, UnsupportedCheckpointError, ConfigError.
    """
    return _build(VQModel, plan_vqgan(path, config), operations)


def load_transformer(
    path: StrPath, config: ConfigInput = None, operations: ModuleType = blank_layers
) -> tuple[Transformer, VQModel | None]:
    """Load a transformer and its first stage, in float32 and eval mode.

    The first stage is the one that the file holds or that its metadata names; None if it does neither. The VQGAN of
    a transformer's maps comes as its `cond_stage`.

    Raises: CheckpointError, UnsupportedCheckpointError, ConfigError; TokensError if the two do not belong together.
    """
    plan = plan_transformer(path, config)
    vqgan = None if plan.first_stage is None else _build(VQModel, plan.first_stage, operations)
    transformer = _build(Transformer, plan, operations)
    if plan.cond_stage is not None:
        shared = plan.cond_stage is plan.first_stage
        transformer.cond_stage = vqgan if shared else _build(VQModel, plan.cond_stage, operations)
    return transformer, vqgan


def load_checkpoint(path: StrPath, config: ConfigInput = None) -> VQModel | Transformer:
    """Load whichever model the file holds: its transformer if it has one, else its VQGAN."""
    checkpoint = read_checkpoint(path)
    source = find_config(checkpoint, config)
    if holds(checkpoint, "transformer"):
        return load_transformer(path, config)[0]
    return _build(VQModel, vqgan_plan(checkpoint, source))


def _build(
    model_class: Callable[[Any, ModuleType], Model],
    plan: VQGANPlan | TransformerPlan,
    operations: ModuleType = blank_layers,
) -> Model:
    """The model of `plan`, owning its weights: the file may change or go afterwards."""
    with torch.device("meta"):
        model = model_class(plan.config, operations)
    weights = {
        key: tensor.to(torch.float32 if tensor.is_floating_point() else None, copy=True).contiguous()
        for key, tensor in plan.state_dict.items()
    }
    model.load_state_dict(weights, strict=True, assign=True)
    return model.eval()
