"""Reading YAML configuration files: plain values only, nothing constructed, nothing looked up."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

from ..errors import ConfigError

MAX_BYTES = 256 * 1024  # published configurations have 2 to 10 KB


def read_yaml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The mapping in the YAML file at `path`; interpolations like `${oc.env:HOME}` stay the text they are.

    Raises: ConfigError if it cannot be read, is no mapping, or holds tags, aliases or anything but plain values.
    """
    # Imported here: nothing but a YAML file needs them, and they would be a third of the pack's start-up time.
    import yaml
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    path = Path(path)
    text = _read_text(path)
    try:
        aliases = [token for token in yaml.scan(text, Loader=yaml.SafeLoader) if isinstance(token, yaml.AliasToken)]
        values = OmegaConf.to_container(OmegaConf.load(io.StringIO(text)), resolve=False) if not aliases else None
    except (yaml.YAMLError, OmegaConfBaseException, OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path.name} is not a plain YAML configuration: {_one_line(error)}.") from error
    if aliases:  # a few lines of nested aliases grow to gigabytes
        raise ConfigError(f"{path.name} uses YAML aliases, which are not read: write the values out.")
    if not isinstance(values, dict):
        raise ConfigError(f"{path.name} holds {type(values).__name__} values, not a mapping of names to values.")
    return {str(name): value for name, value in values.items()}


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path.name} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path.name} is not a text file, so it is not a YAML configuration.") from error
    if len(content) > MAX_BYTES:
        raise ConfigError(f"{path.name} is larger than {MAX_BYTES // 1024} KB, so it is not a model configuration.")
    return text


def _one_line(error: Exception) -> str:
    return ascii(" ".join(str(error).split()))[1:-1][:200].rstrip(".") or type(error).__name__
