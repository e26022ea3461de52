"""Files to models, with no memory wasted: mapped, copied weight by weight, or packed straight from the file."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ..models.precision import Precision, prepare_for_sampling
from ..models.transformer import Transformer
from ..models.vqgan import VQModel
from . import no_init as blank_layers
from .config_source import ConfigInput, StrPath, find_config
from .parts import holds
from .plan_transformer import TransformerPlan, plan_transformer, transformer_plan
from .plan_vqgan import VQGANPlan, plan_vqgan, vqgan_plan
from .read import read_checkpoint

log = logging.getLogger(__name__)

Model = TypeVar("Model", bound=nn.Module)


def load_vqgan(path: StrPath, config: ConfigInput = None, operations: ModuleType = blank_layers) -> VQModel:
    """Load a VQGAN, in float32 and eval mode, from its own file or from a whole transformer checkpoint.

    `config` is a YAML path or a mapping; by default it is found beside or in the file.

    Raises: CheckpointError, UnsupportedCheckpointError, ConfigError.
    """
    return _build(VQModel, plan_vqgan(path, config), operations)


def load_transformer(
    path: StrPath,
    config: ConfigInput = None,
    operations: ModuleType = blank_layers,
    precision: Precision | None = None,
) -> tuple[Transformer, VQModel | None]:
    """Load a transformer and its first stage, in float32 and eval mode.

    The first stage is the one that the file holds or that its metadata names; None if it does neither. The VQGAN of
    a transformer's maps comes as its `cond_stage`.

    With a `precision` it comes as `prepare_for_sampling` leaves it on a CPU, packed straight from the file: for int8
    that takes about half of the memory of doing one after the other.

    Raises: CheckpointError, UnsupportedCheckpointError, ConfigError; TokensError if the two do not belong together.
    """
    return _build_transformer(plan_transformer(path, config), operations, precision)


def load_checkpoint(path: StrPath, config: ConfigInput = None) -> VQModel | Transformer:
    """Load whichever model the file holds: its transformer if it has one, else its VQGAN."""
    checkpoint = read_checkpoint(path)
    source = find_config(checkpoint, config)
    plan = transformer_plan(checkpoint, source) if holds(checkpoint, "transformer") else vqgan_plan(checkpoint, source)
    del checkpoint  # or what was not mapped would stay while it is copied
    return _build_transformer(plan)[0] if isinstance(plan, TransformerPlan) else _build(VQModel, plan)


def _build_transformer(
    plan: TransformerPlan, operations: ModuleType = blank_layers, precision: Precision | None = None
) -> tuple[Transformer, VQModel | None]:
    vqgan = None if plan.first_stage is None else _build(VQModel, plan.first_stage, operations)
    if precision is None:
        transformer = _build(Transformer, plan, operations)
    else:
        transformer = _assemble(Transformer, plan, plan.state_dict, operations)
        plan.state_dict.clear()  # so that each weight that was not mapped goes when it is packed
        log.info("Transformer: %s.", prepare_for_sampling(transformer, precision))
    if plan.cond_stage is not None:
        shared = plan.cond_stage is plan.first_stage
        transformer.cond_stage = vqgan if shared else _build(VQModel, plan.cond_stage, operations)
    return transformer, vqgan


def _build(
    model_class: Callable[[Any, ModuleType], Model],
    plan: VQGANPlan | TransformerPlan,
    operations: ModuleType = blank_layers,
) -> Model:
    """The model of `plan`, which it uses up, owning its weights: the file may change or go afterwards."""
    weights: dict[str, Tensor] = {}
    while plan.state_dict:  # weight by weight: one that was not mapped would be there twice
        key, tensor = plan.state_dict.popitem()
        weights[key] = tensor.to(torch.float32 if tensor.is_floating_point() else None, copy=True).contiguous()
    return _assemble(model_class, plan, weights, operations)


def _assemble(
    model_class: Callable[[Any, ModuleType], Model],
    plan: VQGANPlan | TransformerPlan,
    weights: dict[str, Tensor],
    operations: ModuleType,
) -> Model:
    """The model of `plan` with these very tensors."""
    with torch.device("meta"):
        model = model_class(plan.config, operations)
    model.load_state_dict(weights, strict=True, assign=True)
    return model.eval()
