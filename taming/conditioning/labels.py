"""Class labels as people write them, to the numbers a transformer knows them by."""

from collections.abc import Sequence
from difflib import get_close_matches

from ..errors import ConditionError
from .config import ConditionConfig
from .vocabularies import Vocabulary

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
    return _number_among(config.names, label)


def vocabulary_label(vocabulary: Vocabulary, label: str | int) -> int:
    """The number of the class of `vocabulary` that one label names or is.

    Raises:
        ConditionError: there is no such class.
    """
    number, count = _number_among(vocabulary.names, label), len(vocabulary.names)
    if number is None or not 0 <= number < count:
        known = f"{_hint(vocabulary.names, label)} {_known(vocabulary.names, count)}"
        raise ConditionError(f"The palette {vocabulary.name!r} has no class {label!r}.{known}")
    return number


def _number_among(names: Sequence[str], label: str | int) -> int | None:
    if isinstance(label, int):
        return label
    normal = [_normal(name) for name in names]
    if _normal(label) in normal:
        return normal.index(_normal(label))
    return int(label) if label.isascii() and label.removeprefix("-").isdigit() else None


def _find_label(config: ConditionConfig, vocab_size: int, label: str | int) -> int:
    number = label_number(config, label)
    if number is None or not 0 <= number < (config.num_labels or vocab_size):
        known = f"{_hint(config.names, label)} {known_labels(config, vocab_size)}"
        raise ConditionError(f"This transformer has no class {label!r}.{known}")
    return number


def _hint(names: Sequence[str], label: str | int) -> str:
    normal = [_normal(name) for name in names]
    close = get_close_matches(_normal(str(label)), normal, n=1)
    return f" Did you mean {names[normal.index(close[0])]!r}?" if close else ""


def _normal(name: str) -> str:
    return "_".join(name.lower().replace("-", " ").replace("_", " ").split())


def known_labels(config: ConditionConfig, vocab_size: int) -> str:
    """One sentence that says which labels the transformer has."""
    return _known(config.names, config.num_labels or vocab_size)


def _known(names: Sequence[str], count: int) -> str:
    numbers = f"0 to {count - 1}"
    if not names:
        return f"Its classes have no names; use a number, {numbers}."
    shown, more = ", ".join(names[:_NAMES_SHOWN]), len(names) - _NAMES_SHOWN
    return f"Its classes are {shown}{f' and {more} more' if more > 0 else ''} (or a number, {numbers})."
