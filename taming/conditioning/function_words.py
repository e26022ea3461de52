"""Text as words: split, without their endings, and apart from the words that only join others."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Literal, get_args

FunctionWord = Literal["determiner", "comma", "and", "or", "not", "not after", "stop"]

MAX_PARTICLES = 3  # at the end of one Korean word
_FILE = Path(__file__).parent / "vocabularies" / "function_words.txt"
_BREAK = re.compile(r"[,.;:!?()\[\]{}|\n\r\u3001\u3002]+")  # a comma stands for all of them
_APOSTROPHE = re.compile(r"['\u2018\u2019](s\b)?")


def split_words(text: str) -> list[str]:
    """The words of `text` in lower case and NFKC, a comma where a part of a sentence ends, no other marks.

    What is neither a letter nor a digit (emoji, lone surrogates) parts words, so words can always be printed.
    """
    text = _APOSTROPHE.sub("", unicodedata.normalize("NFKC", text).lower())
    text = _BREAK.sub(" , ", text)
    letters = "".join(char if char == "," or _is_letter(char) else " " for char in text)
    return [word for word in letters.split() if word == "," or word[0].isalnum()]


def stems(word: str) -> Iterator[str]:
    """`word`, then what it may be a form of: an English plural, a Korean word with particles."""
    yield word
    if len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
        yield word[:-1]
        if word.endswith("ies"):
            yield word[:-3] + "y"
        elif word.endswith("es"):
            yield word[:-2]
    yield from _without_particles(word, MAX_PARTICLES)


def function_word(word: str) -> FunctionWord | None:
    """Which kind of function word it is; None if it says something by itself."""
    return _function_words().get(word)


def _without_particles(word: str, most: int) -> Iterator[str]:
    for particle in _particles():
        if most and len(word) > len(particle) and word.endswith(particle):
            stem = word[: -len(particle)]
            yield stem
            yield from _without_particles(stem, most - 1)


def _is_letter(char: str) -> bool:
    return char.isalnum() or unicodedata.category(char) in ("Mn", "Mc")  # vowel signs of Indic scripts


@cache
def _function_words() -> dict[str, FunctionWord]:
    return {word: kind for kind in get_args(FunctionWord) for word in _words_of(kind)}


@cache
def _particles() -> tuple[str, ...]:
    return tuple(_words_of("particle"))


def _words_of(kind: str) -> list[str]:
    lines = [line.partition(":") for line in _FILE.read_text(encoding="utf-8").splitlines()]
    return [word for line in lines if line[0] == kind for word in line[2].split()]
