"""The words that a transformer knows, and prompts as tokens of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, cached_property
from pathlib import Path

from ..errors import ConfigError
from .function_words import function_word, split_words, stems
from .units import Unit, UnitReader

WORD_LISTS = ("scene_words",)  # those that come with the library
PAD, NULL = 0, 1  # the tokens that fill a prompt up, and that stand for no prompt
FIRST_WORD = 2  # the token of the first word

_SIMILARITY = 0.7  # of a form that is suggested for an unknown word
_MAX_LETTERS = 30  # of an unknown word that is compared and named; the time grows with their square


@dataclass(frozen=True)
class Word:
    """A token, and how people write it."""

    name: str
    forms: tuple[str, ...] = ()  # beside the name: synonyms and translations, of one word or several
    is_modifier: bool = False  # it describes the noun after it, as a color does


@dataclass(frozen=True)
class Phrase:
    """Forms that stand for several tokens, as lavender does for purple flowers, or for none."""

    forms: tuple[str, ...]
    names: tuple[str, ...]  # of the tokens


@dataclass(frozen=True)
class ParsedPrompt:
    """What a word list finds in a text."""

    tokens: tuple[int, ...]
    unknown: tuple[str, ...]  # words that it does not know, once each
    unwanted: tuple[str, ...]  # what the text says it does not want
    left_out: tuple[str, ...]  # units beyond `max_words`


@dataclass(frozen=True)
class WordList:
    """The tokens that prompts are made of, in the order of their numbers; new ones come last.

    Raises:
        ConfigError: a form without a letter, or of two tokens; a phrase of tokens that do not exist.
    """

    words: tuple[Word, ...]
    phrases: tuple[Phrase, ...] = ()
    is_sorted: bool = True  # units take the order of the list, each once; else prompts stay as they are written

    def __post_init__(self) -> None:
        if not self.words:
            raise ConfigError("A word list has at least one word.")
        _ = self._forms  # they are checked there

    @property
    def num_tokens(self) -> int:
        """Tokens of a model with this list, PAD and NULL included."""
        return FIRST_WORD + len(self.words)

    @property
    def modifiers(self) -> frozenset[int]:
        """The tokens that describe the noun after them."""
        return frozenset(token for token, word in enumerate(self.words, FIRST_WORD) if word.is_modifier)

    def parse(self, text: str, max_words: int) -> ParsedPrompt:
        """The first `max_words` tokens of `text`, whole units only, and what of it does not become tokens."""
        words, position = split_words(text), 0
        unknown: dict[str, None] = {}
        reader = UnitReader(self.modifiers)
        while position < len(words):
            end, tokens = self._longest_form(words, position)
            word = words[position]
            if tokens is not None:
                reader.read_tokens(tokens)
            elif (kind := function_word(word)) is not None:
                reader.read_function_word(kind)
            else:
                reader.read_unknown()
                unknown[word[:_MAX_LETTERS]] = None
            position = end
        units, unwanted = reader.finish()
        kept, rest = _split_units(self._merge_repeats(units), max_words)
        if self.is_sorted:  # after the cut, which takes the end of the prompt, not of the list
            kept.sort(key=lambda unit: (unit[-1], unit))
        tokens = tuple(token for unit in kept for token in unit)
        return ParsedPrompt(tokens, tuple(unknown), self._names(unwanted), self._names(rest))

    def suggest(self, word: str) -> str | None:
        """The known form that is nearest to an unknown `word`."""
        return next(iter(get_close_matches(word[:_MAX_LETTERS], map(" ".join, self._forms), 1, _SIMILARITY)), None)

    def name(self, token: int) -> str:
        """What a token from FIRST_WORD on is called."""
        return self.words[token - FIRST_WORD].name

    def _names(self, units: Sequence[Unit]) -> tuple[str, ...]:
        return tuple(" ".join(map(self.name, unit)) for unit in units)

    def _merge_repeats(self, units: Sequence[Unit]) -> list[Unit]:
        """Of a sorted list, each unit once, its modifiers in one order."""
        if not self.is_sorted:
            return list(units)
        return list(dict.fromkeys((*sorted(set(unit[:-1])), unit[-1]) for unit in units))

    def _longest_form(self, words: Sequence[str], start: int) -> tuple[int, tuple[int, ...] | None]:
        """Where the longest form that begins at `start` ends, and its tokens; None if there is none."""
        paths: list[tuple[str, ...]] = [()]
        best = start + 1, None
        for end in range(start, len(words)):
            longer = [(*path, stem) for stem in stems(words[end]) for path in paths]
            paths = [path for path in longer if path in self._beginnings]
            if not paths:
                break
            found = next((self._forms[path] for path in paths if path in self._forms), None)
            best = best if found is None else (end + 1, found)
        return best

    @cached_property
    def _forms(self) -> dict[tuple[str, ...], tuple[int, ...]]:
        """The forms, each as its words, and the tokens that it stands for."""
        forms: dict[tuple[str, ...], tuple[int, ...]] = {}
        for form, tokens in self._entries():
            words = tuple(split_words(form))
            if not words or "," in words or not form.isprintable():
                raise ConfigError(
                    f"{form[:40]!a} is no word: it has letters, no stops, and nothing that cannot be printed."
                )
            if forms.setdefault(words, tokens) != tokens:
                raise ConfigError(f"The form {form[:40]!a} stands for two different things. Leave one of them out.")
        return forms

    @cached_property
    def _beginnings(self) -> frozenset[tuple[str, ...]]:
        """The forms and what they begin with."""
        return frozenset(form[:end] for form in self._forms for end in range(1, len(form) + 1))

    def _entries(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        numbers: dict[str, int] = {}
        for token, word in enumerate(self.words, FIRST_WORD):
            numbers[word.name] = token
            yield from ((form, (token,)) for form in (word.name, *word.forms))
        for phrase in self.phrases:
            missing = [name for name in phrase.names if name not in numbers]
            if missing:
                raise ConfigError(f"{', '.join(map(ascii, phrase.forms))}: there is no word {missing[0]!a}.")
            yield from ((form, tuple(numbers[name] for name in phrase.names)) for form in phrase.forms)


@cache
def read_word_list(name: str) -> WordList:
    """The word list called `name`, from its file, which says how it is written.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in WORD_LISTS:
        raise ConfigError(f"There is no word list {name!r}. Known are {', '.join(WORD_LISTS)}.")
    text = (Path(__file__).parent / "vocabularies" / f"{name}.txt").read_text(encoding="utf-8")
    words, phrases = [], []
    for line in text.splitlines():
        if line and not line.startswith("#"):
            if "=" in line:
                forms, _, names = line.partition("=")
                phrases.append(Phrase(_split_forms(forms), tuple(names.split())))
            else:
                word, _, forms = line.partition(":")
                words.append(Word(word.removeprefix("+").strip(), _split_forms(forms), word.startswith("+")))
    return WordList(tuple(words), tuple(phrases))


def _split_forms(forms: str) -> tuple[str, ...]:
    return tuple(form.strip() for form in forms.split(",") if form.strip())


def _split_units(units: Sequence[Unit], max_words: int) -> tuple[list[Unit], list[Unit]]:
    """The first units that have `max_words` tokens at most, and the rest."""
    length = 0
    for number, unit in enumerate(units):
        length += len(unit)
        if length > max_words:
            return list(units[:number]), list(units[number:])
    return list(units), []
