"""Strict checks of weights against their configuration, before any memory is spent on a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import isfinite

import torch
from torch import Tensor, nn

from ..errors import CheckpointError, ConfigError, UnsupportedCheckpointError
from ..models.transformer import TransformerConfig
from ..wording import shorten_text

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


def check_agreement(disagreements: Iterable[str], where: str, name: str) -> None:
    """Raise ConfigError if the configuration from `where` and the weights of the file `name` disagree."""
    found = list(disagreements)
    if found:
        raise ConfigError(
            f"{where} does not fit {name}: it says {'; '.join(found)}. "
            "Choose the configuration that came with the weights, or none."
        )


def check_condition(config: TransformerConfig, where: str) -> None:
    """Raise ConfigError if the condition or the grid of `config`, which is from `where`, does not fit its sizes."""
    condition, (height, width) = config.condition, config.grid
    tokens = {
        "sos_token": condition.sos_token,
        "num_classes - 1": condition.num_classes - 1,
        "null_label": condition.null_label or 0,
        "num_codes - 1": condition.num_codes - 1,
        "boxes: num_tokens - 1": condition.boxes.num_tokens - 1 if condition.boxes else 0,
    }
    for field, token in tokens.items():
        if token >= config.vocab_size:
            raise ConfigError(f"{where}: condition: {field} {token} is not below vocab_size {config.vocab_size}.")
    if condition.class_names and len(condition.class_names) != condition.num_labels:
        raise ConfigError(
            f"{where}: condition: {len(condition.class_names)} class_names for {condition.num_labels} classes."
        )
    length = condition.length(height, width)
    if not 0 < length + height * width - 1 <= config.block_size:  # the last cell is never read
        raise ConfigError(
            f"{where}: a grid of {height} x {width} after {length} tokens of condition does not fit block_size "
            f"{config.block_size}."
        )
    if (condition.kind == "boxes") != (condition.boxes is not None):
        raise ConfigError(f"{where}: condition: boxes belong to the kind boxes, and the kind is {condition.kind}.")


def _refuse(complaint: str, items: list[str]) -> None:
    if items:
        count = f"{len(items)} weight{'s' * (len(items) > 1)}"
        shown = ", ".join(shorten_text(item) for item in items[:3]) + (", ..." if len(items) > 3 else "")
        raise UnsupportedCheckpointError(
            f"{complaint.format(count)}: {shown}. The file is incomplete, or of another kind of model."
        )
