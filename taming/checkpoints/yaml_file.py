"""Reading YAML configuration files: plain values only, nothing constructed, nothing looked up."""

from __future__ import annotations

import io
import math
import os
from pathlib import Path
from typing import Any

from ..configs import needs_omegaconf
from ..configs.encoding import explain_encoding
from ..errors import ConfigError
from ..text import shorten_error

MAX_BYTES = 64 * 1024  # published configurations have 2 to 10 KB
MAX_DEPTH = 40  # theirs is 8; parsers take quadratic time, or overflow the stack, on brackets opened by the thousand
MAX_VALUES = 5_000  # with what aliases repeat; a few lines of nested ones grow to gigabytes. Published files have 200


def read_yaml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The mapping of plain values in the YAML file at `path`.

    Aliases (`*name`) are followed as far as no configuration needs more.

    Raises: ConfigError if it cannot be read, is no mapping, or holds tags or interpolations.
    """
    path = Path(path)
    try:  # here: nothing but a YAML file needs them, and they would be a third of the pack's start-up time
        import yaml
        from omegaconf import OmegaConf
        from omegaconf.errors import OmegaConfBaseException
    except ImportError as error:
        raise needs_omegaconf(path) from error
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
    depth, has_aliases = 0, False
    for token in yaml.scan(text, Loader=yaml.SafeLoader):
        if isinstance(token, yaml.ScalarToken) and "${" in token.value:
            return "uses interpolations (${...}), which are not resolved here: write the values out"
        has_aliases |= isinstance(token, yaml.AliasToken)
        depth += isinstance(token, block_start + flow_start) - isinstance(token, end)
        if depth > MAX_DEPTH:
            return f"nests its values more than {MAX_DEPTH} deep, which no model configuration does"
    return _find_alias_complaint(text) if has_aliases else None


def _find_alias_complaint(text: str) -> str | None:
    """What is wrong with the aliases of a YAML text that nests nothing too deep as it is written."""
    import yaml

    loader = yaml.SafeLoader(text)
    try:
        count, depth = _measure(loader.get_single_node(), {})
    finally:
        loader.dispose()
    if count == math.inf:
        return "uses aliases (*name) within what they name, which has no end: write the values out"
    if count > MAX_VALUES or depth > MAX_DEPTH:
        return (
            f"uses aliases (*name) that make more than {MAX_VALUES} values of it, or nest them more than {MAX_DEPTH} "
            "deep, which no model configuration needs: write the values out"
        )
    return None


def _measure(node: Any, sizes: dict[int, tuple[float, float]]) -> tuple[float, float]:
    """How many values a YAML node has with its aliases written out, and how deep; infinitely many within itself.

    `sizes` are those of nodes already measured, by identity.
    """
    if isinstance(node.value, str):
        return 1, 0
    if id(node) not in sizes:
        sizes[id(node)] = math.inf, math.inf  # to whoever asks before it is known, from inside
        parts = [part for item in node.value for part in (item if isinstance(item, tuple) else (item,))]
        counts, depths = zip(*(_measure(part, sizes) for part in parts), strict=True) if parts else ((0,), (0,))
        count = sum(counts)
        sizes[id(node)] = count if count == math.inf else min(1 + count, MAX_VALUES + 1), 1 + max(depths)
    return sizes[id(node)]


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path.name} cannot be read: {error.strerror}.") from error
    if len(content) > MAX_BYTES:
        raise ConfigError(f"{path.name} is larger than {MAX_BYTES // 1024} KB, so it is not a model configuration.")
    complaint = explain_encoding(content)
    if complaint:
        raise ConfigError(f"{path.name} {complaint}")
    return content.decode("utf-8-sig")
