"""Where the configuration of a weights file comes from.

It is looked for in this order: the caller's, a YAML file beside the weights with the same stem, the metadata in the
file, the shapes of the weights. Whichever it is, it has to agree with the shapes.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..configs import PUBLISHED, find_preset
from .read import Checkpoint
from .yaml_file import read_yaml

OTHER_SIDECAR = "Put the configuration that came with the weights in its place, or move it away."
OTHER_METADATA = "Get the file again, or choose the configuration that it was saved with."
SIDECAR_SUFFIXES = (".yaml", ".yml", "-project.yaml")
PROJECT_PATTERN = "*-project.yaml"  # what Lightning runs of the reference are described by, named by date
MAX_OFFERED = 3
DIFFUSERS_STEM, DIFFUSERS_CONFIG = "diffusion_pytorch_model", "config.json"

log = logging.getLogger(__name__)

StrPath = str | os.PathLike[str]
ConfigInput = StrPath | Mapping[str, Any] | None


@dataclass(frozen=True)
class ConfigSource:
    """A configuration from outside of the weights file."""

    values: Mapping[str, Any]
    where: str  # for messages
    advice: str = "Choose the configuration that came with the weights, or none."  # where it does not fit


def find_config(checkpoint: Checkpoint, config: ConfigInput) -> ConfigSource | None:
    """The configuration for `checkpoint`: `config`, a mapping, a YAML file or a published preset; else its sidecar.

    Raises: ConfigError if there is no such file or it is not plain YAML.
    """
    if isinstance(config, Mapping):
        return ConfigSource(config, "the given config")
    if config is not None:
        file = find_preset(os.fspath(config), PUBLISHED)
        return ConfigSource(read_yaml(file), file.name)
    file = find_sidecar(checkpoint.path)
    if file is not None:
        return ConfigSource(read_yaml(file), file.name, OTHER_SIDECAR)
    projects = [file for file in offered_configs(checkpoint.path) if file.match(PROJECT_PATTERN)]
    if projects and not checkpoint.metadata:
        log.info("%s is loaded without a configuration. %s", checkpoint.path.name, advise_config(checkpoint.path))
    return None


def find_sidecar(path: Path) -> Path | None:
    """The configuration beside the weights at `path`, by their stem, or by the fixed names that diffusers uses."""
    names = [path.stem + suffix for suffix in SIDECAR_SUFFIXES]
    if path.stem == DIFFUSERS_STEM:
        names.append(DIFFUSERS_CONFIG)
    return next((path.with_name(name) for name in names if path.with_name(name).is_file()), None)


def advise_config(path: Path) -> str:
    """What to do where the weights at `path` need a configuration: its name, and the files that could be it."""
    offered, name = offered_configs(path), f"{path.stem}.yaml"
    if not offered:
        return f"Put its YAML configuration beside it, as {name}, or choose it as the configuration."
    found = " or ".join(str(os.path.relpath(file, path.parent)) for file in offered)
    beside = all(file.parent == path.parent for file in offered)
    action = "rename it to" if beside else "copy it here as"
    return f"If {found} is its YAML configuration, {action} {name}, or choose it as the configuration."


def offered_configs(path: Path) -> list[Path]:
    """YAML files that could describe the weights at `path` and are not called so: beside it, or in its run's folder."""
    files = [file for suffix in (".yaml", ".yml") for file in path.parent.glob(f"*{suffix}")]
    stems = {file.stem for file in path.parent.glob("*") if file.suffix not in (".yaml", ".yml")}
    files = [file for file in files if not {file.stem, file.stem.removesuffix("-project")} & stems]
    if path.parent.name == "checkpoints":  # of a run's folder, logs/<date>_<name>
        files += path.parent.parent.glob(f"configs/{PROJECT_PATTERN}")
    projects = [file for file in files if file.match(PROJECT_PATTERN)]
    return sorted(projects or files)[:MAX_OFFERED]
