"""Published YAML configurations (taming-transformers, latent-diffusion): targets, parameters, the parts they name.

A `target:` string is a key in a table, never an import. Names that only training used are known and ignored; names
that are not known are errors, because a model built without them would be another model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import ConfigError
from ..text import shorten


def model_node(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The `model:` part of a whole training configuration; `values` themselves if they are that part."""
    model = values.get("model")
    return model if isinstance(model, Mapping) else values


def check_target(node: Mapping[str, Any], known: Iterable[str], where: str) -> str:
    target = node.get("target")
    if not isinstance(target, str) or target not in known:
        raise ConfigError(
            f"{where}: unknown target {shorten(target)}. A target is never imported; "
            f"known here are {', '.join(sorted(known))}."
        )
    return target


def params_of(node: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    return mapping(node.get("params"), f"{where}: params")


def mapping(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where}: expected names and values, found {shorten(value)}.")
    return value
