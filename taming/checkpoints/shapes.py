"""Reading sizes off the shapes of weights."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from ..errors import UnsupportedCheckpointError

Weights = Mapping[str, Tensor]


def shape_of(weights: Weights, key: str, num_dims: int, name: str) -> tuple[int, ...]:
    """The shape of a telling weight."""
    if key not in weights:
        raise UnsupportedCheckpointError(f"{name} lacks the weight {key}: it is incomplete or another kind of model.")
    shape = tuple(weights[key].shape)
    if len(shape) != num_dims or 0 in shape:
        raise UnsupportedCheckpointError(f"{name}: {key} has the shape {shape}; {num_dims} sides are needed.")
    return shape


def count_parts(keys: Iterable[str], stem: str, most: int, name: str) -> int:
    """How many different numbers follow `stem` in the keys."""
    numbered = re.compile(re.escape(stem) + r"(\d+)\.")
    count = len({match[1] for match in map(numbered.match, keys) if match})
    if not 1 <= count <= most:
        raise UnsupportedCheckpointError(f"{name} has {count} parts {stem}*; 1 to {most} work.")
    return count


def differences(config: object, detected: Mapping[str, Any]) -> list[str]:
    """Fields of `config` that are not what the weights say, each as a phrase."""
    return [
        f"{field} {getattr(config, field)}, the weights have {value}"
        for field, value in detected.items()
        if getattr(config, field) != value
    ]
