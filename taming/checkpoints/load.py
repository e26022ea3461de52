"""Files to models: where the configuration comes from, what is checked, and building with no memory wasted.

The configuration is looked for in this order: the caller's, a YAML file beside the weights with the same stem, the
metadata in the file, the shapes of the weights. Whichever it is, it has to agree with the shapes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ..errors import CheckpointError, TamingError, TokensError
from ..models.transformer import Transformer, TransformerConfig
from ..models.vqgan import VQModel, VQModelConfig
from ..wording import shorten
from . import blank_layers
from .detect import detect_transformer, detect_vqgan, transformer_disagreements, vqgan_disagreements
from .metadata import FirstStageReference, codebook_fingerprint, decode_metadata
from .parts import holds, take_part, without_training_keys
from .read import Checkpoint, read_checkpoint, read_metadata
from .upstream import first_stage_config, transformer_config, vqgan_config
from .verify import check_agreement, check_condition, check_weights
from .yaml_file import read_yaml

SIDECAR_SUFFIXES = (".yaml", ".yml", "-project.yaml")

StrPath = str | os.PathLike[str]
ConfigInput = StrPath | Mapping[str, Any] | None
Model = TypeVar("Model", bound=nn.Module)


@dataclass(frozen=True)
class VQGANPlan:
    """A VQGAN that is known to fit together and only has to be built."""

    config: VQModelConfig
    state_dict: dict[str, Tensor]  # memory-mapped where the format allows: do not modify in place


@dataclass(frozen=True)
class TransformerPlan:
    """A transformer that is known to fit together and only has to be built."""

    config: TransformerConfig
    state_dict: dict[str, Tensor]  # memory-mapped where the format allows: do not modify in place
    first_stage: VQGANPlan | None  # the tokenizer of its tokens, where the file holds or names one


@dataclass(frozen=True)
class ConfigSource:
    """A configuration from outside of the weights file."""

    values: Mapping[str, Any]
    where: str  # for messages


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

    The first stage is the one that the file holds or that its metadata names; None if it does neither.

    Raises: CheckpointError, UnsupportedCheckpointError, ConfigError; TokensError if the two do not belong together.
    """
    plan = plan_transformer(path, config)
    vqgan = None if plan.first_stage is None else _build(VQModel, plan.first_stage, operations)
    return _build(Transformer, plan, operations), vqgan


def load_checkpoint(path: StrPath, config: ConfigInput = None) -> VQModel | Transformer:
    """Load whichever model the file holds: its transformer if it has one, else its VQGAN."""
    checkpoint = read_checkpoint(path)
    source = _find_config(checkpoint, config)
    if holds(checkpoint, "transformer"):
        return _build(Transformer, _plan_transformer(checkpoint, source))
    return _build(VQModel, _plan_vqgan(checkpoint, source))


def plan_vqgan(path: StrPath, config: ConfigInput = None) -> VQGANPlan:
    """Everything of `load_vqgan` but building the model."""
    checkpoint = read_checkpoint(path)
    return _plan_vqgan(checkpoint, _find_config(checkpoint, config))


def plan_transformer(path: StrPath, config: ConfigInput = None) -> TransformerPlan:
    """Everything of `load_transformer` but building the models."""
    checkpoint = read_checkpoint(path)
    return _plan_transformer(checkpoint, _find_config(checkpoint, config))


def companion_files(path: Path) -> list[Path]:
    """The files beside the weights at `path` that loading them reads too: a configuration, a first stage."""
    companions = [_find_sidecar(path)]
    try:
        metadata = decode_metadata(read_metadata(path), path.name)
        if metadata is not None and metadata.first_stage is not None:
            companions.append(_first_stage_file(path, metadata.first_stage))
    except TamingError:
        pass  # loading will say what is wrong
    return [file for file in companions if file is not None]


def _find_config(checkpoint: Checkpoint, config: ConfigInput) -> ConfigSource | None:
    if isinstance(config, Mapping):
        return ConfigSource(config, "the given config")
    file = _find_sidecar(checkpoint.path) if config is None else Path(config)
    return None if file is None else ConfigSource(read_yaml(file), file.name)


def _find_sidecar(path: Path) -> Path | None:
    candidates = (path.with_name(path.stem + suffix) for suffix in SIDECAR_SUFFIXES)
    return next((file for file in candidates if file.is_file()), None)


def _plan_vqgan(checkpoint: Checkpoint, source: ConfigSource | None) -> VQGANPlan:
    name = checkpoint.path.name
    weights = take_part(checkpoint, "vqgan")
    metadata = decode_metadata(checkpoint.metadata, name)
    if source is not None:
        config, where = vqgan_config(source.values, source.where), source.where
    elif metadata is not None and isinstance(metadata.config, VQModelConfig):
        config, where = metadata.config, f"the metadata of {name}"
    else:
        config, where = detect_vqgan(weights, name), name
    check_agreement(vqgan_disagreements(config, weights, name), where, name)
    weights = without_training_keys(weights, "vqgan")
    check_weights(weights, lambda: VQModel(config, blank_layers), name)
    return VQGANPlan(config, weights)


def _plan_transformer(checkpoint: Checkpoint, source: ConfigSource | None) -> TransformerPlan:
    name = checkpoint.path.name
    weights = take_part(checkpoint, "transformer")
    metadata = decode_metadata(checkpoint.metadata, name)
    if source is not None:
        config, where = transformer_config(source.values, source.where), source.where
    elif metadata is not None and isinstance(metadata.config, TransformerConfig):
        config, where = metadata.config, f"the metadata of {name}"
    else:
        config, where = detect_transformer(weights, name), name
    check_agreement(transformer_disagreements(config, weights, name), where, name)
    check_condition(config, where)
    weights = without_training_keys(weights, "transformer")
    check_weights(weights, lambda: Transformer(config, blank_layers), name)
    first_stage = _plan_first_stage(checkpoint, source, metadata.first_stage if metadata else None)
    if first_stage is not None and first_stage.config.n_embed > config.vocab_size:
        raise TokensError(
            f"{name} knows {config.vocab_size} tokens, its first stage has {first_stage.config.n_embed} codes: "
            "they were not trained together."
        )
    return TransformerPlan(config, weights, first_stage)


def _plan_first_stage(
    checkpoint: Checkpoint, source: ConfigSource | None, reference: FirstStageReference | None
) -> VQGANPlan | None:
    """The tokenizer inside the file, else the one beside it that its metadata names."""
    if holds(checkpoint, "vqgan"):
        described = source is not None and first_stage_config(source.values, source.where) is not None
        return _plan_vqgan(checkpoint, source if described else None)
    if reference is None:
        return None
    file = _first_stage_file(checkpoint.path, reference)
    plan = plan_vqgan(file)
    if codebook_fingerprint(plan.state_dict) != reference.codebook:
        raise TokensError(
            f"{file.name} has another codebook than the one that {checkpoint.path.name} was trained on: its tokens "
            "mean other things. Put the tokenizer that came with the transformer beside it."
        )
    return plan


def _first_stage_file(path: Path, reference: FirstStageReference) -> Path:
    """The tokenizer that the metadata of the transformer at `path` names.

    Raises: CheckpointError if there is no such file beside it.
    """
    name, file = path.name, reference.file
    if file in ("", ".", "..") or not file.isprintable() or any(separator in file for separator in "/\\:"):
        raise CheckpointError(f"{name} names its first stage by {shorten(file)}, which is not a bare file name.")
    if not path.with_name(file).is_file():
        raise CheckpointError(f"{name} needs the tokenizer {file}, which is not beside it: put it in {path.parent}.")
    return path.with_name(file)


def _build(
    model_class: Callable[[Any, ModuleType], Model],
    plan: VQGANPlan | TransformerPlan,
    operations: ModuleType = blank_layers,
) -> Model:
    """The model of `plan`, owning its weights: the file may change or go afterwards."""
    with torch.device("meta"):
        model = model_class(plan.config, operations)
    owned = {
        key: tensor.to(torch.float32, copy=True, memory_format=torch.contiguous_format)
        for key, tensor in plan.state_dict.items()
    }
    model.load_state_dict(owned, strict=True, assign=True)
    return model.eval()
