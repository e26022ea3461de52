"""Plain values (YAML, JSON) as frozen dataclasses, every name and type checked."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from ..errors import ConfigError
from ..text import shorten

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

MAX_INT = 2**31 - 1
Config = TypeVar("Config", bound="DataclassInstance")


def config_from_dict(cls: type[Config], values: object, where: str) -> Config:
    """The frozen configuration `cls` from plain values; `where` says whose they are.

    Numbers are not negative, and whole ones are 1 or more unless the field's own default is 0, None or empty.

    Raises: ConfigError for unknown or missing names and values of the wrong type.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: expected the fields of a {cls.__name__}, found {shorten(values)}.")
    types = get_type_hints(cls)
    hints = {field.name: types[field.name] for field in fields(cls) if field.init}
    check_names(values, hints, where)
    missing = [name for name in required_names(cls) if name not in values]
    if missing:
        raise ConfigError(f"{where}: {', '.join(missing)} must be given.")
    may_be_zero = {field.name for field in fields(cls) if field.default in (0, None, ())}
    converted = {
        name: convert(value, hints[name], int(name not in may_be_zero), f"{where}: {name}")
        for name, value in values.items()
    }
    try:
        return cls(**converted)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def required_names(cls: type) -> list[str]:
    return [field.name for field in fields(cls) if field.default is MISSING and field.default_factory is MISSING]


def check_names(values: Mapping[Any, object], known: Iterable[str], where: str) -> None:
    """Raise ConfigError for the first name in `values` that is not `known`, with the nearest one that is."""
    known = set(known)
    for name in values:
        if name not in known:
            nearest = difflib.get_close_matches(str(name)[:100], known, n=1)
            advice = f"did you mean {nearest[0]}?" if nearest else f"known are {', '.join(sorted(known))}."
            raise ConfigError(f"{where}: unknown name {shorten(name)}; {advice}")


def without_none(hint: Any) -> Any:
    """The type that a field has where it is not None."""
    if get_origin(hint) not in (Union, UnionType):
        return hint
    return next(arg for arg in get_args(hint) if arg is not type(None))


def convert(value: Any, hint: Any, least: int, where: str) -> Any:
    """The plain `value` of a field as the type `hint`: the few types that configurations use.

    Raises: ConfigError, which says `where`, if it is not of that type, or a whole number below `least`.
    """
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return None if value is None else convert(value, without_none(hint), least, where)
    if is_dataclass(hint) and isinstance(hint, type):
        read = getattr(hint, "from_dict", None)  # of a sum type, which picks the class of its case
        return config_from_dict(hint, value, where) if read is None else read(value, where)
    if origin is tuple:
        size = None if args[-1] is Ellipsis else len(args)
        if not isinstance(value, list | tuple) or size not in (None, len(value)):
            expected = "a list" if size is None else f"a list of {size}"
            raise ConfigError(f"{where}: expected {expected}, found {shorten(value)}.")
        return tuple(convert(item, args[0], least, where) for item in value)
    if origin is dict:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where}: expected names and values, found {shorten(value)}.")
        return dict(value)
    expected = _expectation(value, hint, least)
    if expected is not None:
        raise ConfigError(f"{where}: expected {expected}, found {shorten(value)}.")
    return float(value) if hint is float else value


def _expectation(value: Any, hint: Any, least: int) -> str | None:
    """What a scalar of type `hint` must be, if `value` is not that."""
    if get_origin(hint) is Literal:
        return None if value in get_args(hint) else f"one of {', '.join(get_args(hint))}"
    is_above = type(value) in (int, float) and value > MAX_INT
    if hint is int:
        limits = f"from {least} to {MAX_INT}" if is_above else f"of {least} or more"
        return None if type(value) is int and least <= value <= MAX_INT else f"a whole number {limits}"
    if hint is float:
        limits = f"from 0 to {MAX_INT}" if is_above else "of 0 or more"
        return None if type(value) in (int, float) and 0 <= value <= MAX_INT else f"a number {limits}"
    return None if type(value) is hint else {bool: "true or false", str: "a text"}[hint]
