"""Planning a VQGAN: taking its weights out of a file, finding its configuration, checking that they fit."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..models.vqgan import VQModel, VQModelConfig
from . import blank_layers
from .config_source import ConfigInput, ConfigSource, StrPath, find_config
from .detect_vqgan import detect_vqgan, vqgan_disagreements
from .metadata import decode_metadata
from .parts import take_part, without_training_keys
from .read import Checkpoint, read_checkpoint
from .upstream_vqgan import vqgan_config
from .verify import check_agreement, check_weights


@dataclass(frozen=True)
class VQGANPlan:
    """A VQGAN that is known to fit together and only has to be built."""

    config: VQModelConfig
    state_dict: dict[str, Tensor]  # memory-mapped where the format allows: do not modify in place


def plan_vqgan(path: StrPath, config: ConfigInput = None) -> VQGANPlan:
    """Everything of `load_vqgan` but building the model."""
    checkpoint = read_checkpoint(path)
    return vqgan_plan(checkpoint, find_config(checkpoint, config))


def vqgan_plan(checkpoint: Checkpoint, source: ConfigSource | None) -> VQGANPlan:
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
