"""Configurations: presets as YAML, and plain values as frozen dataclasses."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..text import install_command
from ..user_text import user_path
from .encoding import explain_encoding
from .fields import check_names, config_from_dict
from .overrides import apply_overrides

__all__ = [
    "OPEN",
    "PRESETS",
    "PUBLISHED",
    "check_names",
    "config_from_dict",
    "find_preset",
    "needs_omegaconf",
    "preset_names",
    "read_preset",
]

OPEN = "???"  # a value that a preset leaves to whoever uses it
PRESETS = Path(__file__).parent  # training recipes
PUBLISHED = PRESETS / "published"  # configurations of published checkpoints, in the form they were published in


def preset_names(folder: Path = PRESETS) -> list[str]:
    """Names of the presets in `folder`, PRESETS or PUBLISHED."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def find_preset(name: str, folder: Path = PRESETS) -> Path:
    """Path of a YAML file: `name` itself where it is a file, else the preset of that name in `folder`.

    Raises:
        ConfigError: neither exists; the message lists the presets.
    """
    for candidate in (user_path(name), folder / f"{name}.yaml"):
        if candidate.is_file():
            return candidate
    known = ", ".join(preset_names(folder))
    raise ConfigError(f"{name}: no such file, and no such preset. Give a path to a YAML file, or one of: {known}.")


def read_preset(
    name: str,
    overrides: Sequence[str] = (),
    may_stay_open: Collection[str] = (),
    types: Mapping[str, Any] | None = None,
) -> dict:
    """Read a YAML file or preset, then apply overrides such as `optimizer.lr=1e-4`, by the `types` of its fields.

    Raises:
        ConfigError: the file cannot be found or parsed, or leaves a value OPEN that no override gives; those under
            the keys `may_stay_open` are for the caller to fill in.
    """
    path = find_preset(name)
    try:  # only training and old configurations need it; it costs import time
        from omegaconf import OmegaConf
        from omegaconf.errors import OmegaConfBaseException
        from yaml import YAMLError
    except ImportError as error:
        raise needs_omegaconf(path) from error
    complaint = explain_encoding(path.read_bytes())
    if complaint:
        raise ConfigError(f"{path.name} {complaint}")
    try:
        config = OmegaConf.load(path)
    except (OmegaConfBaseException, YAMLError, ValueError) as error:
        raise ConfigError(f"{path.name}: {error}. Mend the file.") from error
    values = OmegaConf.to_container(config, resolve=False)
    if not isinstance(values, dict):
        raise ConfigError(f"{path.name} holds a {type(values).__name__}, not a mapping. Is it a recipe?")
    values = apply_overrides({str(key): value for key, value in values.items()}, overrides, types or {})
    given = {override.partition("=")[0].strip() for override in overrides}  # a folder may be called like OPEN
    open_keys = sorted(set(_find_open(values)) - {*may_stay_open, *given})
    if open_keys:
        raise ConfigError(f"{path.name} needs {' and '.join(open_keys)}. Give it as {open_keys[0]}=VALUE.")
    return values


def needs_omegaconf(path: Path) -> ConfigError:
    """The error for a YAML file at `path` where OmegaConf, which reads it, is not installed."""
    return ConfigError(
        f"{path.name} is a YAML file. Reading it needs the package omegaconf, which this Python lacks. "
        f"Install it: {install_command('omegaconf')}"
    )


def _find_open(values: object, prefix: str = "") -> Iterator[str]:
    """The keys of the values that are OPEN, such as `data.folder`."""
    if isinstance(values, Mapping):
        for name, value in values.items():
            yield from _find_open(value, f"{prefix}.{name}" if prefix else str(name))
    elif isinstance(values, list):
        for number, value in enumerate(values):
            yield from _find_open(value, f"{prefix}[{number}]")
    elif values == OPEN:
        yield prefix
