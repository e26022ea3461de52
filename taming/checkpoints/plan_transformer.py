"""Planning a transformer: its weights, its configuration, and the tokenizers that it needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ..errors import CheckpointError, TamingError, TokensError, UnsupportedCheckpointError
from ..models.transformer import Transformer, TransformerConfig
from ..models.vqgan import VQModelConfig
from ..text import shorten
from . import no_init as blank_layers
from .config_source import OTHER_METADATA, ConfigInput, ConfigSource, StrPath, advise_config, find_config, find_sidecar
from .detect_transformer import detect_transformer, transformer_disagreements
from .metadata import FirstStageReference, PackMetadata, codebook_fingerprint, config_to_dict, decode_metadata
from .parts import count_used, holds, take_condition, take_part, without_training_keys
from .permuters import Order
from .plan_vqgan import VQGANPlan, plan_vqgan, plan_vqgan_weights
from .read import Checkpoint, read_checkpoint, read_metadata
from .shards import explaining_parts
from .upstream_transformer import Net2NetConfig, net2net_config
from .verify import check_agreement, check_cond_stage, check_condition, check_weights

PERMUTER_KEY = "permuter.forward_shuffle_idx"
FindFiles = Callable[[str], Sequence[Path]]
MAX_CELLS = 256**2  # of a grid with a reading order of its own; those published have 256


@dataclass(frozen=True)
class TransformerPlan:
    """A transformer that is known to fit together and only has to be built."""

    config: TransformerConfig
    state_dict: dict[str, Tensor]  # memory-mapped where the format allows: do not modify in place
    first_stage: VQGANPlan | None  # the tokenizer of its tokens, where the file holds or names one
    cond_stage: VQGANPlan | None = None  # the tokenizer of its maps, where it reads maps; it may be the first stage


def plan_transformer(
    path: StrPath, config: ConfigInput = None, find_tokenizers: FindFiles | None = None
) -> TransformerPlan:
    """Everything of `load_transformer` but building the models.

    `find_tokenizers` gives the files of a name elsewhere, for a first stage that is not beside the transformer.
    """
    checkpoint = read_checkpoint(path)
    return transformer_plan(checkpoint, find_config(checkpoint, config), find_tokenizers)


def companion_files(path: Path, find_tokenizers: FindFiles | None = None) -> list[Path]:
    """The files that loading the weights at `path` reads too: a configuration, what may be its first stage."""
    companions = [find_sidecar(path)]
    try:
        metadata = decode_metadata(read_metadata(path), path.name)
        if metadata is not None and isinstance(metadata.first_stage, FirstStageReference):
            companions += _first_stage_files(path, metadata.first_stage, find_tokenizers)
    except TamingError:
        pass  # loading will say what is wrong
    return [file for file in companions if file is not None]


def transformer_plan(
    checkpoint: Checkpoint, source: ConfigSource | None, find_tokenizers: FindFiles | None = None
) -> TransformerPlan:
    """The plan of the transformer that `checkpoint` holds, with the configuration from `source`."""
    with explaining_parts(checkpoint.path):
        return _plan(checkpoint, source, find_tokenizers)


def _plan(checkpoint: Checkpoint, source: ConfigSource | None, find_tokenizers: FindFiles | None) -> TransformerPlan:
    name = checkpoint.path.name
    weights = take_part(checkpoint, "transformer")
    described = None if source is None else net2net_config(source.values, source.where, count_used(checkpoint))
    metadata = decode_metadata(checkpoint.metadata, name)
    if metadata is None or not isinstance(metadata.config, TransformerConfig):
        metadata = None
    where = f"the metadata of {name}" if source is None else source.where
    advice = OTHER_METADATA if source is None else source.advice
    first_stage, cond_stage = _plan_stages(checkpoint, described, metadata, where, advice, find_tokenizers)
    order = _order_in(checkpoint)
    if described is not None and source is not None:
        config = described.transformer
    elif metadata is not None and isinstance(metadata.config, TransformerConfig):
        config = metadata.config
    else:
        stage_config = None if cond_stage is None else cond_stage.config
        config = detect_transformer(weights, name, stage_config, order, advise_config(checkpoint.path))
        where = name
    disagreements = transformer_disagreements(config, weights, name)
    if order not in ((), config.order):
        disagreements.append(f"an order other than the {PERMUTER_KEY} of the weights")
    check_agreement(disagreements, where, name, advice)
    check_condition(config, where)
    if cond_stage is not None:
        check_cond_stage(config, cond_stage.config, where)
    weights = without_training_keys(weights, "transformer")
    check_weights(weights, lambda: Transformer(config, blank_layers), name)
    if first_stage is not None and first_stage.config.num_tokens > config.vocab_size:
        raise TokensError(
            f"{name} knows {config.vocab_size} tokens, its first stage has {first_stage.config.num_tokens} codes: "
            "they were not trained together."
        )
    return TransformerPlan(config, weights, first_stage, cond_stage)


def _plan_stages(
    checkpoint: Checkpoint,
    described: Net2NetConfig | None,
    metadata: PackMetadata | None,
    where: str,
    advice: str,
    find_tokenizers: FindFiles | None,
) -> tuple[VQGANPlan | None, VQGANPlan | None]:
    """The tokenizer of the pictures, inside the file or named by it, and that of the maps, inside the file.

    `where` says whose configurations of them are given, if any are, `advice` what to do if they do not fit.
    """
    named = metadata.first_stage if metadata is not None else None
    first_config = described.first_stage if described is not None else None
    cond_config = described.cond_stage if described is not None else None
    if described is None and metadata is not None:
        first_config = named if isinstance(named, VQModelConfig) else None
        cond_config = metadata.cond_stage
    first_stage = None
    if holds(checkpoint, "vqgan"):
        weights = take_part(checkpoint, "vqgan")
        first_stage = plan_vqgan_weights(
            weights, checkpoint, "vqgan", _source_of(first_config, f"{where}: first_stage", advice)
        )
    elif isinstance(named, FirstStageReference):
        first_stage = _plan_named_first_stage(checkpoint.path, named, find_tokenizers)
    if described is not None and described.shares_first_stage:
        return first_stage, first_stage
    weights = take_condition(checkpoint)
    if weights is None and described is None and cond_config is not None:
        raise UnsupportedCheckpointError(
            f"{checkpoint.path.name} lacks the VQGAN of its maps (cond_stage_model.*), which its metadata describes: "
            "the file is incomplete. Convert the original again."
        )
    if weights is None:
        return first_stage, None
    return first_stage, plan_vqgan_weights(
        weights, checkpoint, "cond_stage", _source_of(cond_config, f"{where}: cond_stage", advice)
    )


def _source_of(config: VQModelConfig | None, where: str, advice: str) -> ConfigSource | None:
    return None if config is None else ConfigSource(config_to_dict(config), where, advice)


def _order_in(checkpoint: Checkpoint) -> Order:
    """The reading order that a permuter left in the file; empty if it has none."""
    stored = next((t for key, t in checkpoint.state_dict.items() if key.endswith(PERMUTER_KEY)), None)
    if stored is None:
        return ()
    if stored.is_floating_point() or stored.is_complex() or stored.numel() > MAX_CELLS:
        raise UnsupportedCheckpointError(
            f"{checkpoint.path.name}: {PERMUTER_KEY} holds {stored.numel()} values of {stored.dtype}, which is no "
            "order of the cells of a grid."
        )
    return tuple(stored.flatten().tolist())


def _plan_named_first_stage(path: Path, reference: FirstStageReference, find_tokenizers: FindFiles | None) -> VQGANPlan:
    """The tokenizer that the transformer at `path` was trained on: beside it, else wherever one of its name is.

    Raises: CheckpointError if there is none; of several that are not it, what is wrong with the first.
    """
    problems: list[TamingError] = []
    for file in _first_stage_files(path, reference, find_tokenizers):
        try:
            plan = plan_vqgan(file)
            if codebook_fingerprint(plan.state_dict) == reference.codebook:
                return plan
        except TamingError as error:
            problems.append(error)
            continue
        problems.append(
            TokensError(
                f"{file.name} has another codebook than the one that {path.name} was trained on: its tokens mean other "
                "things. Put the tokenizer that came with the transformer beside it."
            )
        )
    raise problems[0]


def _first_stage_files(path: Path, reference: FirstStageReference, find_tokenizers: FindFiles | None) -> list[Path]:
    """The files that may be the tokenizer that the metadata of the transformer at `path` names.

    Raises: CheckpointError if there is none.
    """
    name, file = path.name, reference.file
    if file in ("", ".", "..") or not file.isprintable() or any(separator in file for separator in "/\\:"):
        raise CheckpointError(f"{name} names its first stage by {shorten(file)}, which is not a bare file name.")
    beside = path.with_name(file)
    elsewhere = find_tokenizers(file) if find_tokenizers is not None else ()
    found = [*([beside] if beside.is_file() else []), *(other for other in elsewhere if other != beside)]
    if not found:
        place = "is not beside it" if find_tokenizers is None else "is in none of the model folders"
        raise CheckpointError(f"{name} needs the tokenizer {file}, which {place}: put it in {path.parent.absolute()}.")
    return found
