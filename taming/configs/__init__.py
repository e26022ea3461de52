"""Configurations: presets as YAML, and plain values as frozen dataclasses."""

from collections.abc import Collection, Sequence
from pathlib import Path

from ..errors import ConfigError
from .encoding import explain_encoding
from .fields import check_names, config_from_dict

__all__ = [
    "OPEN",
    "PRESETS",
    "PUBLISHED",
    "check_names",
    "config_from_dict",
    "find_preset",
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
    for candidate in (Path(name), folder / f"{name}.yaml"):
        if candidate.is_file():
            return candidate
    known = ", ".join(preset_names(folder))
    raise ConfigError(f"{name}: no such file, and no such preset. Give a path to a YAML file, or one of: {known}.")


def read_preset(name: str, overrides: Sequence[str] = (), may_stay_open: Collection[str] = ()) -> dict:
    """Read a YAML file or preset, then apply dotlist overrides such as `optimizer.lr=1e-4`.

    Raises:
        ConfigError: the file cannot be found or parsed, or leaves a value OPEN that no override gives; those under
            the keys `may_stay_open` are for the caller to fill in.
    """
    from omegaconf import OmegaConf  # only training and old configurations need it; it costs import time
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    path = find_preset(name)
    complaint = explain_encoding(path.read_bytes())
    if complaint:
        raise ConfigError(f"{path.name} {complaint}")
    try:
        config = OmegaConf.load(path)
        config.merge_with_dotlist(list(overrides))
        open_keys = sorted(OmegaConf.missing_keys(config) - set(may_stay_open))
    except (OmegaConfBaseException, YAMLError, ValueError) as error:
        raise ConfigError(f"{path.name}: {error}. Mend the file or the override.") from error
    if open_keys:
        raise ConfigError(f"{path.name} needs {' and '.join(open_keys)}. Give it as {open_keys[0]}=VALUE.")
    values = OmegaConf.to_container(config, resolve=False)
    if not isinstance(values, dict):
        raise ConfigError(f"{path.name} holds a {type(values).__name__}, not a mapping. Is it a recipe?")
    return values
