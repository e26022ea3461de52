"""Reading YAML configuration files: plain values only, nothing constructed, nothing looked up."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..wording import shorten_error

MAX_BYTES = 64 * 1024  # published configurations have 2 to 10 KB
MAX_DEPTH = 40  # theirs is 8; parsers take quadratic time, or overflow the stack, on brackets opened by the thousand


def read_yaml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The mapping of plain values in the YAML file at `path`.

    Raises: ConfigError if it cannot be read, is no mapping, or holds tags, aliases or interpolations.
    """
    # Imported here: nothing but a YAML file needs them, and they would be a third of the pack's start-up time.
    import yaml
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    path = Path(path)
    text = _read_text(path)
    try:
        complaint = _find_complaint(text)
        values = None if complaint else OmegaConf.to_container(OmegaConf.load(io.StringIO(text)), resolve=False)
    except (yaml.YAMLError, OmegaConfBaseException, OSError, RecursionError, ValueError) as error:
        raise ConfigError(f"{path.name} is not a plain YAML configuration: {shorten_error(error)}.") from error
    if complaint:
        raise ConfigError(f"{path.name} {complaint}.")
    if not isinstance(values, dict):
        raise ConfigError(f"{path.name} holds {type(values).__name__} values, not a mapping of names to values.")
    return {str(name): value for name, value in values.items()}


def _find_complaint(text: str) -> str | None:
    """What in a YAML text could make parsing it expensive or dependent on its surroundings."""
    import yaml

    block_start = yaml.BlockMappingStartToken, yaml.BlockSequenceStartToken
    flow_start = yaml.FlowMappingStartToken, yaml.FlowSequenceStartToken
    end = yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken
    depth = 0
    for token in yaml.scan(text, Loader=yaml.SafeLoader):
        if isinstance(token, yaml.ScalarToken) and "${" in token.value:
            return "uses interpolations (${...}), which are not resolved here: write the values out"
        if isinstance(token, yaml.AliasToken):  # a few lines of nested aliases grow to gigabytes
            return "uses aliases (*name), which are not followed: write the values out"
        depth += isinstance(token, block_start + flow_start) - isinstance(token, end)
        if depth > MAX_DEPTH:
            return f"nests its values more than {MAX_DEPTH} deep, which no model configuration does"
    return None


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
