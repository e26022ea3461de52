"""Class labels as people write them, to the numbers a transformer knows them by."""

from collections.abc import Sequence
from difflib import get_close_matches

from ..errors import ConditionError
from .config import ConditionConfig

_NAMES_SHOWN = 30


def find_labels(config: ConditionConfig, vocab_size: int, label: str | int | Sequence[str | int]) -> list[int]:
    """The label numbers that `label` stands for: a name, a number, several separated by commas, or a sequence.

    Names match whatever their case, with spaces or hyphens for underscores.

    Raises:
        ConditionError: a label that the transformer does not have, or none at all.
    """
    if isinstance(label, str):
        whole = _find_name(config, label)
        parts = [whole] if whole is not None else [part.strip() for part in label.split(",")]
    elif isinstance(label, int):
        parts = [label]
    else:
        parts = list(label)
    if not parts:
        raise ConditionError(f"No label was given. {known_labels(config, vocab_size)}")
    return [_find_label(config, vocab_size, part) for part in parts]


def _find_label(config: ConditionConfig, vocab_size: int, label: str | int) -> int:
    number = _find_name(config, label) if isinstance(label, str) else label
    if number is None and isinstance(label, str) and label.isascii() and label.lstrip("-").isdigit():
        number = int(label)
    if number is None or not 0 <= number < (config.num_labels or vocab_size):
        names = [_normal(name) for name in config.names]
        close = get_close_matches(_normal(str(label)), names, n=1)
        hint = f" Did you mean {config.names[names.index(close[0])]!r}?" if close else ""
        raise ConditionError(f"This transformer has no class {label!r}.{hint} {known_labels(config, vocab_size)}")
    return number


def _find_name(config: ConditionConfig, text: str) -> int | None:
    names = [_normal(name) for name in config.names]
    return names.index(_normal(text)) if _normal(text) in names else None


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
