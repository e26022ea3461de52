"""Planning a transformer: its weights, its configuration, and the tokenizers that it needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ..errors import CheckpointError, TamingError, TokensError
from ..models.transformer import Transformer, TransformerConfig
from ..wording import shorten
from . import blank_layers
from .config_source import ConfigInput, ConfigSource, StrPath, find_config, find_sidecar
from .detect_transformer import detect_transformer, transformer_disagreements
from .metadata import FirstStageReference, codebook_fingerprint, decode_metadata
from .parts import holds, take_part, without_training_keys
from .plan_vqgan import VQGANPlan, plan_vqgan, vqgan_plan
from .read import Checkpoint, read_checkpoint, read_metadata
from .upstream_transformer import first_stage_config, transformer_config
from .verify import check_agreement, check_condition, check_weights


@dataclass(frozen=True)
class TransformerPlan:
    """A transformer that is known to fit together and only has to be built."""

    config: TransformerConfig
    state_dict: dict[str, Tensor]  # memory-mapped where the format allows: do not modify in place
    first_stage: VQGANPlan | None  # the tokenizer of its tokens, where the file holds or names one


def plan_transformer(path: StrPath, config: ConfigInput = None) -> TransformerPlan:
    """Everything of `load_transformer` but building the models."""
    checkpoint = read_checkpoint(path)
    return transformer_plan(checkpoint, find_config(checkpoint, config))


def companion_files(path: Path) -> list[Path]:
    """The files beside the weights at `path` that loading them reads too: a configuration, a first stage."""
    companions = [find_sidecar(path)]
    try:
        metadata = decode_metadata(read_metadata(path), path.name)
        if metadata is not None and metadata.first_stage is not None:
            companions.append(_first_stage_file(path, metadata.first_stage))
    except TamingError:
        pass  # loading will say what is wrong
    return [file for file in companions if file is not None]


def transformer_plan(checkpoint: Checkpoint, source: ConfigSource | None) -> TransformerPlan:
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
        return vqgan_plan(checkpoint, source if described else None)
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
