"""Strict checks of weights against their configuration, before any memory is spent on a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import isfinite

import torch
from torch import Tensor, nn

from ..conditioning import BoxFormat
from ..conditioning.config import MAP_KINDS
from ..conditioning.vocabularies import VOCABULARIES
from ..errors import CheckpointError, ConfigError, TokensError, UnsupportedCheckpointError
from ..models.transformer import TransformerConfig
from ..models.vqgan import VQModelConfig
from ..text import shorten, shorten_text

WEIGHT_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def check_weights(weights: Mapping[str, Tensor], build: Callable[[], nn.Module], name: str) -> None:
    """Check that `weights` of the file `name` are exactly those of the model that `build` makes, and are numbers.

    Raises: UnsupportedCheckpointError for missing, unexpected or wrongly shaped weights; CheckpointError for NaN.
    """
    with torch.device("meta"):
        expected = build().state_dict()
    _refuse(f"{name} lacks {{}} that the model needs", [key for key in expected if key not in weights])
    _refuse(f"{name} holds {{}} that the model does not have", [key for key in weights if key not in expected])
    wrong = [
        f"{key} has {tuple(weights[key].shape)} and needs {tuple(tensor.shape)}"
        for key, tensor in expected.items()
        if weights[key].shape != tensor.shape
    ]
    _refuse(f"{name} holds {{}} of the wrong shape", wrong)
    for key, tensor in weights.items():
        if not expected[key].is_floating_point():
            if tensor.is_floating_point():
                raise UnsupportedCheckpointError(f"{name} stores {key} as {tensor.dtype}; it holds whole numbers.")
            continue
        if tensor.dtype not in WEIGHT_DTYPES:
            raise UnsupportedCheckpointError(
                f"{name} stores {key} as {tensor.dtype}, which is not supported: save it in float16 or float32."
            )
        low, high = torch.aminmax(tensor)  # one pass without a temporary; both carry NaN
        if not (isfinite(low) and isfinite(high)):
            raise CheckpointError(
                f"{name} is damaged: {key} holds values that are not finite (NaN or infinity). "
                "Download it again, or use a checkpoint from before the training diverged."
            )


def check_agreement(disagreements: Iterable[str], where: str, name: str, advice: str) -> None:
    """Raise ConfigError if the configuration from `where` and the weights of the file `name` disagree."""
    found = list(disagreements)
    if found:
        raise ConfigError(f"{where} does not fit {name}: it says {'; '.join(found)}. {advice}")


def check_condition(config: TransformerConfig, where: str) -> None:
    """Raise ConfigError if the condition or the grid of `config`, which is from `where`, does not fit its sizes."""
    condition, (height, width) = config.condition, config.grid
    tokens = {
        "sos_token": condition.sos_token,
        "num_classes - 1": condition.num_classes - 1 if condition.kind == "class" else 0,
        "null_label": condition.null_label or 0,
        "num_codes - 1": condition.num_codes - 1,
        "boxes: num_tokens - 1": condition.boxes.num_tokens - 1 if condition.boxes else 0,
        "boxes: the last object": _last_object_token(condition.boxes) if condition.boxes else 0,
    }
    for field, token in tokens.items():
        if token >= config.vocab_size:
            raise ConfigError(f"{where}: condition: {field} {token} is not below vocab_size {config.vocab_size}.")
    if condition.vocabulary and condition.vocabulary not in VOCABULARIES:
        raise ConfigError(
            f"{where}: condition: there is no vocabulary {shorten(condition.vocabulary)}; "
            f"known are {', '.join(VOCABULARIES)}."
        )
    if condition.names and len(condition.names) != condition.num_labels:
        raise ConfigError(f"{where}: condition: {len(condition.names)} class_names for {condition.num_labels} classes.")
    _check_words(config, where)
    if condition.kind == "coordinates" and not (condition.num_codes and condition.down_factor):
        raise ConfigError(f"{where}: condition: coordinates need num_codes and down_factor of 1 or more.")
    length = condition.length(height, width)
    if not 0 < length + height * width - 1 <= config.block_size:  # the last cell is never read
        raise ConfigError(
            f"{where}: a grid of {height} x {width} after {length} tokens of condition does not fit block_size "
            f"{config.block_size}."
        )
    if (condition.kind == "boxes") != (condition.boxes is not None):
        raise ConfigError(f"{where}: condition: boxes belong to the kind boxes, and the kind is {condition.kind}.")


def _check_words(config: TransformerConfig, where: str) -> None:
    """Raise ConfigError unless there is a word list where it is needed, and an embedding for each of its tokens."""
    condition = config.condition
    if (condition.kind == "words") != (condition.word_list is not None and condition.max_words > 0):
        raise ConfigError(
            f"{where}: condition: word_list and max_words belong to the kind words, and the kind is {condition.kind}."
        )
    if condition.num_cond_tokens != config.cond_vocab_size:
        raise ConfigError(
            f"{where}: cond_vocab_size is {config.cond_vocab_size}, and the condition has {condition.num_cond_tokens} "
            "tokens that are no codes."
        )
    if config.n_unmasked > condition.max_words > 0:
        raise ConfigError(
            f"{where}: n_unmasked {config.n_unmasked} reaches beyond the {condition.max_words} tokens of the prompt."
        )


def check_cond_stage(config: TransformerConfig, cond_stage: VQModelConfig, where: str) -> None:
    """Raise ConfigError or TokensError if the maps of `config`, which is from `where`, are not those of their VQGAN."""
    condition, (height, width) = config.condition, config.grid
    if condition.kind not in MAP_KINDS:
        raise ConfigError(
            f"{where}: the weights hold a VQGAN for maps (cond_stage_model), and the condition is {condition.kind}."
        )
    if condition.kind == "segmentation" and condition.num_classes != cond_stage.in_channels:
        raise ConfigError(
            f"{where}: condition: {condition.num_classes} classes, and the VQGAN of the maps reads "
            f"{cond_stage.in_channels} channels."
        )
    if cond_stage.num_tokens > config.vocab_size:
        raise TokensError(
            f"{where}: the transformer knows {config.vocab_size} tokens, the VQGAN of its maps has "
            f"{cond_stage.num_tokens}: they were not trained together."
        )
    tokens = (condition.downsample_cond_size // cond_stage.factor) ** 2
    if tokens + height * width - 1 > config.block_size:
        raise ConfigError(
            f"{where}: condition: maps of downsample_cond_size {condition.downsample_cond_size} are {tokens} tokens, "
            f"which do not fit block_size {config.block_size}."
        )


def _last_object_token(boxes: BoxFormat) -> int:
    """Number of the class that comes last, with every flag that the format tells."""
    flags = 0b0001 * boxes.use_group_parameter + 0b1110 * boxes.use_additional_parameters
    return boxes.num_classes * (1 + flags) - 1


def _refuse(complaint: str, items: list[str]) -> None:
    if items:
        count = f"{len(items)} weight{'s' * (len(items) > 1)}"
        shown = ", ".join(shorten_text(item) for item in items[:3]) + (", ..." if len(items) > 3 else "")
        raise UnsupportedCheckpointError(
            f"{complaint.format(count)}: {shown}. The file is incomplete, or of another kind of model."
        )
