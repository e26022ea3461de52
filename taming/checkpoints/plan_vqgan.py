"""Planning a VQGAN: taking its weights out of a file, finding its configuration, checking that they fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from ..models.vqgan import VQModel, VQModelConfig
from . import no_init as blank_layers
from .config_source import OTHER_METADATA, ConfigInput, ConfigSource, StrPath, find_config
from .detect_vqgan import detect_vqgan, vqgan_disagreements
from .keymaps import USED_KEY
from .metadata import decode_metadata
from .parts import take_part, without_training_keys
from .read import Checkpoint, FileState, read_checkpoint
from .shards import explaining_parts
from .upstream_vqgan import vqgan_config
from .verify import check_agreement, check_weights

Part: TypeAlias = Literal["vqgan", "cond_stage"]


@dataclass(frozen=True)
class Origin:
    """Where weights come from: they are the same where this is the same."""

    file: FileState
    part: Part  # which of the VQGANs in it


@dataclass(frozen=True)
class VQGANPlan:
    """A VQGAN that is known to fit together and only has to be built."""

    config: VQModelConfig
    state_dict: dict[str, Tensor]  # memory-mapped where the format allows: do not modify in place
    origin: Origin | None = None  # of the weights, where they are from a file


def plan_vqgan(path: StrPath, config: ConfigInput = None) -> VQGANPlan:
    """Everything of `load_vqgan` but building the model."""
    checkpoint = read_checkpoint(path)
    return vqgan_plan(checkpoint, find_config(checkpoint, config))


def vqgan_plan(checkpoint: Checkpoint, source: ConfigSource | None) -> VQGANPlan:
    """The plan of the VQGAN that `checkpoint` holds, alone or as a part, with the configuration from `source`."""
    metadata = decode_metadata(checkpoint.metadata, checkpoint.path.name)
    known = metadata.config if metadata is not None and isinstance(metadata.config, VQModelConfig) else None
    with explaining_parts(checkpoint.path):
        return plan_vqgan_weights(take_part(checkpoint, "vqgan"), checkpoint, "vqgan", source, known)


def plan_vqgan_weights(
    weights: dict[str, Tensor],
    checkpoint: Checkpoint,
    part: Part,
    source: ConfigSource | None,
    known: VQModelConfig | None = None,
) -> VQGANPlan:
    """The plan of a VQGAN of `weights` (published keys, no prefix), which are that `part` of `checkpoint`.

    Its configuration is that of `source`, else the one that is `known`, else what the shapes say.
    """
    name = checkpoint.path.name
    if source is not None:
        num_used = weights[USED_KEY].numel() if USED_KEY in weights else 0
        config, where = vqgan_config(source.values, source.where, num_used), source.where
    elif known is not None:
        config, where = known, f"the metadata of {name}"
    else:
        config, where = detect_vqgan(weights, name), name
    advice = OTHER_METADATA if source is None else source.advice
    check_agreement(vqgan_disagreements(config, weights, name), where, name, advice)
    weights = without_training_keys(weights, "vqgan")
    if USED_KEY in weights:  # published as whatever type numpy had saved it in
        weights[USED_KEY] = weights[USED_KEY].to(torch.int64)
    check_weights(weights, lambda: VQModel(config, blank_layers), name)
    origin = None if checkpoint.state is None else Origin(checkpoint.state, part)
    return VQGANPlan(config, weights, origin)
