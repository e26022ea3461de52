"""Strict checks of weights against their configuration, before any memory is spent on a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import isfinite

import torch
from torch import Tensor, nn

from ..conditioning import MapCondition, SegmentationCondition, WordCondition
from ..errors import CheckpointError, ConfigError, TokensError, UnsupportedCheckpointError
from ..models.transformer import TransformerConfig
from ..models.vqgan import VQModelConfig
from ..text import shorten_text

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
    try:
        condition.check(config.vocab_size)
    except ConfigError as error:
        raise ConfigError(f"{where}: condition: {error}") from error
    if condition.num_cond_tokens != config.cond_vocab_size:
        raise ConfigError(
            f"{where}: cond_vocab_size is {config.cond_vocab_size}, and the condition has {condition.num_cond_tokens} "
            "tokens that are no codes."
        )
    if isinstance(condition, WordCondition) and config.n_unmasked > condition.max_words:
        raise ConfigError(
            f"{where}: n_unmasked {config.n_unmasked} reaches beyond the {condition.max_words} tokens of the prompt."
        )
    length = condition.length(height, width)
    if not 0 < length + height * width - 1 <= config.block_size:  # the last cell is never read
        raise ConfigError(
            f"{where}: a grid of {height} x {width} after {length} tokens of condition does not fit block_size "
            f"{config.block_size}."
        )


def check_cond_stage(config: TransformerConfig, cond_stage: VQModelConfig, where: str) -> None:
    """Raise ConfigError or TokensError if the maps of `config`, which is from `where`, are not those of their VQGAN."""
    condition, (height, width) = config.condition, config.grid
    if not isinstance(condition, MapCondition):
        raise ConfigError(
            f"{where}: the weights hold a VQGAN for maps (cond_stage_model), and the condition is {condition.kind}."
        )
    if isinstance(condition, SegmentationCondition) and condition.num_classes != cond_stage.in_channels:
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


def _refuse(complaint: str, items: list[str]) -> None:
    if items:
        count = f"{len(items)} weight{'s' * (len(items) > 1)}"
        shown = ", ".join(shorten_text(item) for item in items[:3]) + (", ..." if len(items) > 3 else "")
        raise UnsupportedCheckpointError(
            f"{complaint.format(count)}: {shown}. The file is incomplete, or of another kind of model."
        )
