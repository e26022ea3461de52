"""Where the configuration of a weights file comes from.

It is looked for in this order: the caller's, a YAML file beside the weights with the same stem, the metadata in the
file, the shapes of the weights. Whichever it is, it has to agree with the shapes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..configs import PUBLISHED, find_preset
from .read import Checkpoint
from .yaml_file import read_yaml

SIDECAR_SUFFIXES = (".yaml", ".yml", "-project.yaml")
DIFFUSERS_STEM, DIFFUSERS_CONFIG = "diffusion_pytorch_model", "config.json"

StrPath = str | os.PathLike[str]
ConfigInput = StrPath | Mapping[str, Any] | None


@dataclass(frozen=True)
class ConfigSource:
    """A configuration from outside of the weights file."""

    values: Mapping[str, Any]
    where: str  # for messages


def find_config(checkpoint: Checkpoint, config: ConfigInput) -> ConfigSource | None:
    """The configuration for `checkpoint`: `config`, a mapping, a YAML file or a published preset; else its sidecar.

    Raises: ConfigError if there is no such file or it is not plain YAML.
    """
    if isinstance(config, Mapping):
        return ConfigSource(config, "the given config")
    file = find_sidecar(checkpoint.path) if config is None else find_preset(os.fspath(config), PUBLISHED)
    return None if file is None else ConfigSource(read_yaml(file), file.name)


def find_sidecar(path: Path) -> Path | None:
    """The configuration beside the weights at `path`, by their stem, or by the fixed names that diffusers uses."""
    names = [path.stem + suffix for suffix in SIDECAR_SUFFIXES]
    if path.stem == DIFFUSERS_STEM:
        names.append(DIFFUSERS_CONFIG)
    return next((path.with_name(name) for name in names if path.with_name(name).is_file()), None)
