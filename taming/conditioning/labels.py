"""Class labels as people write them, to the numbers a transformer knows them by."""

import operator
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from functools import lru_cache
from itertools import accumulate, takewhile
from typing import SupportsIndex

from ..errors import ConditionError
from ..text import shorten
from ..user_text import split_pieces, unquote
from .kinds import ConditionConfig
from .vocabularies import Vocabulary

_NAMES_SHOWN = 30
_WHOLE = re.compile(r"([+-]?[0-9]{1,18})(\.0*)?")  # 3.0 is what nodes make of a 3

Label = str | int | float
Labels = Label | SupportsIndex | Iterable[Label | SupportsIndex]  # numbers of numpy and torch too, and arrays of them


def find_labels(config: ConditionConfig, vocab_size: int, label: Labels) -> list[int]:
    """The label numbers that `label` stands for: a name, a number, several separated by commas, or a sequence.

    A class of exactly that name comes first. Else names match whatever their case, with spaces or hyphens for
    underscores.

    Raises:
        ConditionError: a label that the transformer does not have or that could be several, or none at all.
    """
    parts = split_labels(config, label)
    if not parts:
        raise ConditionError(f"No label was given. {known_labels(config, vocab_size)}")
    return [_find_label(config, vocab_size, part) for part in parts]


def split_labels(config: ConditionConfig, label: Labels) -> list[Label]:
    """The label of each batch item; of a text as in `split_names`."""
    if isinstance(label, str):
        return list(split_names(label, config.names))
    try:
        parts = list(label)  # pyright: ignore[reportArgumentType]
    except TypeError:  # one number
        parts = [label]
    return [_one_label(part) for part in ([label] if isinstance(label, bytes) else parts)]


def _one_label(label: object) -> Label:
    """One label, whatever kind of number it is.

    Raises: ConditionError if it is neither a text nor a number.
    """
    if isinstance(label, str | float):
        return label
    try:
        return operator.index(label)  # pyright: ignore[reportArgumentType]
    except TypeError as error:
        raise ConditionError(
            f"A label is the name or the number of a class; found {shorten(label)}, a {type(label).__name__}."
        ) from error


def split_names(text: str, names: Sequence[str]) -> list[str]:
    """The labels in `text` between commas and line breaks, which part none in quotes and none in a name of `names`."""
    if text in names:
        return [text]
    most = 1 + max((name.count(",") for name in names), default=0)
    parts: list[str] = []
    for pieces in split_pieces(text):
        while pieces:
            unquoted = takewhile(lambda piece: not piece.is_quoted, pieces[:most])
            joined = list(accumulate((piece.text for piece in unquoted), "{}, {}".format))
            counts = [n for n, name in enumerate(joined, 1) if n > 1 and _number_among(names, name) is not None]
            count = max(counts, default=1)
            parts.append(", ".join(piece.text for piece in pieces[:count]))
            del pieces[:count]
    return parts or [""]


def label_number(config: ConditionConfig, label: Label) -> int | None:
    """The number that one label names or is; None if it is neither. The transformer may have no such class.

    Raises:
        ConditionError: it could be several classes.
    """
    return _number_among(config.names, label)


def vocabulary_label(vocabulary: Vocabulary, label: Label) -> int:
    """The number of the class of `vocabulary` that one label names or is.

    Raises:
        ConditionError: there is no such class.
    """
    number, count = _number_among(vocabulary.names, label), len(vocabulary.names)
    if number is None or not 0 <= number < count:
        known = f"{_hint(vocabulary.names, label)} {_known(vocabulary.names, count)}"
        raise ConditionError(f"The palette {vocabulary.name!r} has no class {quote_label(label)}.{known}")
    return number


def _number_among(names: Sequence[str], label: Label) -> int | None:
    """The place in `names` of the one that `label` is, exactly or nearly; else the number that it is, if any."""
    if isinstance(label, float):
        return int(label) if label.is_integer() else None
    if not isinstance(label, str):
        return operator.index(label)
    if label in names:
        return names.index(label)
    for form in FORMS:
        wanted = form(label)
        found = [number for number, name in enumerate(names) if form(name) == wanted]
        if len(found) > 1:
            several = " or ".join(f"{names[number]!r} ({number})" for number in found)
            raise ConditionError(f"The class {label!r} could be {several}. Write one exactly, or its number.")
        if found:
            return found[0]
    number = _WHOLE.fullmatch(_plain(label))
    return int(number[1]) if number else None


def _find_label(config: ConditionConfig, vocab_size: int, label: Label) -> int:
    number = label_number(config, label)
    if number is None or not 0 <= number < (config.num_labels or vocab_size):
        known = f"{_hint(config.names, label)} {known_labels(config, vocab_size)}"
        raise ConditionError(f"This transformer has no class {quote_label(label)}.{known}")
    return number


def _hint(names: Sequence[str], label: Label) -> str:
    normal = [_normal(name) for name in names]
    close = get_close_matches(_normal(label if isinstance(label, str) else shorten(label)), normal, n=1)
    return f" Did you mean {names[normal.index(close[0])]!r}?" if close else ""


def _plain(name: str) -> str:
    return unquote(name.strip())


@lru_cache(maxsize=4096)
def _spaced(name: str) -> str:
    """`name` with one way to write blanks, commas, accents and whole numbers."""
    number = _WHOLE.fullmatch(_plain(name))
    if number:
        return str(int(number[1]))
    name = " ".join(unicodedata.normalize("NFC", _plain(name)).replace("-", " ").replace("_", " ").split())
    return re.sub(" ?, ?", ",", name)


def _normal(name: str) -> str:
    return _spaced(name).casefold()


FORMS: tuple[Callable[[str], str], ...] = (_plain, _spaced, _normal)  # by which labels are names, the nearest first


def quote_label(label: Label) -> str:
    """`label` as errors quote it: a name in its own script, a number of any length; cut to 80 characters."""
    return f"{label!r:.80}" if isinstance(label, str) else shorten(label)


def known_labels(config: ConditionConfig, vocab_size: int) -> str:
    """One sentence that says which labels the transformer has."""
    return _known(config.names, config.num_labels or vocab_size)


def _known(names: Sequence[str], count: int) -> str:
    numbers = f"0 to {count - 1}"
    if not names:
        return f"Its classes have no names; use a number, {numbers}."
    shown, more = ", ".join(names[:_NAMES_SHOWN]), len(names) - _NAMES_SHOWN
    return f"Its classes are {shown}{f' and {more} more' if more > 0 else ''} (or a number, {numbers})."
