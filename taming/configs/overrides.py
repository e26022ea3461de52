"""Overrides such as `optimizer.lr=1e-4`: the type of a field decides how its value is read, and text is text."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from ..errors import ConfigError
from ..text import shorten, shorten_error
from ..user_text import split_list, unquote
from .fields import convert, without_none

SWITCHES = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
NONE = ("", "~", "null", "none")
_COMMENT = re.compile(r"\s#.*", re.DOTALL)
_DECIMAL = re.compile(r"[-+]?[0-9]+(_[0-9]+)*")
_LIST = re.compile(r"\s*\[(.*)\]\s*(?:#.*)?", re.DOTALL)


def apply_overrides(values: Mapping[str, Any], overrides: Sequence[str], hints: Mapping[str, Any]) -> dict[str, Any]:
    """Plain `values` with `overrides`, key=value each, applied in their order.

    A value is read by the type that its field has in `hints`, which are types by names, or those of a section: numbers,
    true or false, lists and sections as YAML has them. Text is what is typed, but for quotes around it, which only stay
    where a file or folder has them in its name. Names that are not in `hints` stay, for `config_from_dict` to refuse.

    Raises: ConfigError, with the key, for a value that is not of the field's type.
    """
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals:
            raise ConfigError(
                f"expected key=value, found {shorten(override)}. On a command line, a value with blanks needs quotes."
            )
        if key != key.rstrip():  # key = value
            text = text.strip()
        parts = key.strip().replace("[", ".").replace("]", "").split(".")
        values = _override(dict(values), hints, parts, text, key.strip())
    return dict(values)


def _override(value: Any, hint: Any, parts: Sequence[str], text: str, key: str) -> Any:
    """What takes the place of the plain `value` of type `hint` when its part `parts` becomes `text`."""
    if not parts:
        return _merge(value, _read(text, hint, key))
    name, rest, hint = parts[0], parts[1:], without_none(hint)
    if get_origin(hint) is dict:  # of free names, which may have dots
        return {**_section(value), ".".join(parts): _read_text(text)}
    if get_origin(hint) is tuple:
        if not name.isdecimal() or not isinstance(value, list) or int(name[:9]) >= len(value):
            count = len(value) if isinstance(value, list) else 0
            raise ConfigError(f"{key}: the list has no entry {shorten(name)} (entries: {count}, the first is 0).")
        item = _override(value[int(name)], get_args(hint)[0], rest, text, key)
        return [*value[: int(name)], item, *value[int(name) + 1 :]]
    known, section = _field_types(hint), _section(value)
    if known is None:
        raise ConfigError(f"{key}: this is one value and has no part {shorten(name)}.")
    if name not in known:
        return {**section, name: text}
    return {**section, name: _override(section.get(name), known[name], rest, text, key)}


def _field_types(hint: Any) -> Mapping[str, Any] | None:
    """The types of the fields of a section; None for a value that is none."""
    if isinstance(hint, Mapping):
        return hint
    return get_type_hints(hint) if is_dataclass(hint) else None


def _section(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def _merge(old: Any, new: Any) -> Any:
    """`new`, with what a section had before and `new` does not name."""
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return new
    return {**old, **{name: _merge(old.get(name), value) for name, value in new.items()}}


def _read(text: str, hint: Any, key: str) -> Any:
    """`text` as a plain value of type `hint`."""
    inner = without_none(hint)
    item = get_args(inner)[0] if get_origin(inner) is tuple else None
    is_section = isinstance(inner, Mapping) or is_dataclass(inner) or get_origin(inner) is dict
    if is_section and inner is not hint and text.strip().lower() in NONE:
        return None
    if is_section or is_dataclass(item):
        value = _from_yaml(_read_yaml(text, key), inner)
    elif item is not None:
        match = _LIST.fullmatch(text)
        value = [_read_scalar(piece, item) for piece in split_list(match[1])] if match else text
    else:
        value = _read_scalar(text, hint)
    if not is_section or not isinstance(value, dict):  # what is left out of a section may be there already
        convert(value, dict[str, Any] if isinstance(inner, Mapping) else hint, 0, key)
    return value


def _read_scalar(text: str, hint: Any) -> Any:
    """`text` as a plain value of the type `hint`; as it is where it is none, for `convert` to refuse."""
    inner = without_none(hint)
    plain = unquote(_COMMENT.sub("", text).strip())
    if inner is not hint and plain.lower() in NONE:
        return None
    if inner is bool:
        return SWITCHES.get(plain.lower(), plain)
    if inner in (int, float):
        return _read_number(plain, inner)
    return plain if get_origin(inner) is Literal else _read_text(text)


def _read_text(text: str) -> str:
    return text if os.path.exists(text) else unquote(text)


def _read_number(text: str, hint: type[int] | type[float]) -> int | float | str:
    try:
        if _DECIMAL.fullmatch(text):
            return int(text)  # in base 10, also where it begins with a 0
        return int(text, 0) if hint is int else float(text)
    except ValueError:
        return text


def _read_yaml(text: str, key: str) -> Any:
    """YAML of lists and sections, with all that is in them as text."""
    import yaml  # only training needs it; it costs import time

    try:
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
            raise ConfigError(f"{key}: aliases (*name) are not followed. Write the values out.")
        return yaml.load(text, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(
            f"{key}: expected YAML such as {{name: value}}, found {shorten(text)}: {shorten_error(error)}."
        ) from error


def _from_yaml(tree: Any, hint: Any) -> Any:
    """The texts in `tree` by the types that `hint` has for them; what does not fit stays, to be refused by its name."""
    inner = without_none(hint)
    if isinstance(tree, list):
        return [_from_yaml(item, get_args(inner)[0] if get_origin(inner) is tuple else Any) for item in tree]
    if isinstance(tree, dict):
        hints = _field_types(inner) or {}
        return {name: _from_yaml(value, hints.get(name, Any)) for name, value in tree.items()}
    return _read_scalar(tree, hint) if isinstance(tree, str) else tree
