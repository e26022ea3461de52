"""Class labels as people write them, to the numbers a transformer knows them by."""

from collections.abc import Sequence
from difflib import get_close_matches

from ..errors import ConditionError
from .config import ConditionConfig

_NAMES_SHOWN = 30

Labels = str | int | Sequence[str | int]


def find_labels(config: ConditionConfig, vocab_size: int, label: Labels) -> list[int]:
    """The label numbers that `label` stands for: a name, a number, several separated by commas, or a sequence.

    Names match whatever their case, with spaces or hyphens for underscores.

    Raises:
        ConditionError: a label that the transformer does not have, or none at all.
    """
    parts = split_labels(config, label)
    if not parts:
        raise ConditionError(f"No label was given. {known_labels(config, vocab_size)}")
    return [_find_label(config, vocab_size, part) for part in parts]


def split_labels(config: ConditionConfig, label: Labels) -> list[str | int]:
    """The label of each batch item; a comma parts labels, unless it stands in the name of a class."""
    if isinstance(label, str):
        is_name = label_number(config, label) is not None
        return [label] if is_name else [part.strip() for part in label.split(",")]
    return [label] if isinstance(label, int) else list(label)


def label_number(config: ConditionConfig, label: str | int) -> int | None:
    """The number that one label names or is; None if it is neither. The transformer may have no such class."""
    if isinstance(label, int):
        return label
    names = [_normal(name) for name in config.names]
    if _normal(label) in names:
        return names.index(_normal(label))
    return int(label) if label.isascii() and label.removeprefix("-").isdigit() else None


def _find_label(config: ConditionConfig, vocab_size: int, label: str | int) -> int:
    number = label_number(config, label)
    if number is None or not 0 <= number < (config.num_labels or vocab_size):
        names = [_normal(name) for name in config.names]
        close = get_close_matches(_normal(str(label)), names, n=1)
        hint = f" Did you mean {config.names[names.index(close[0])]!r}?" if close else ""
        raise ConditionError(f"This transformer has no class {label!r}.{hint} {known_labels(config, vocab_size)}")
    return number


def _normal(name: str) -> str:
    return "_".join(name.lower().replace("-", " ").replace("_", " ").split())


def known_labels(config: ConditionConfig, vocab_size: int) -> str:
    """One sentence that says which labels the transformer has."""
    numbers = f"0 to {(config.num_labels or vocab_size) - 1}"
    if not config.names:
        return f"Its classes have no names; use a number, {numbers}."
    names = ", ".join(config.names[:_NAMES_SHOWN])
    more = len(config.names) - _NAMES_SHOWN
    return f"Its classes are {names}{f' and {more} more' if more > 0 else ''} (or a number, {numbers})."
