"""What people type and paste: quotes, `~`, lists separated by commas, paths."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

QUOTES = ('""', "''", "\u201c\u201d", "\u2018\u2019")  # the last two as word processors write them

# A piece of a list: all of it in quotes, which may hold commas, or what is before the next comma.
_QUOTED = "|".join(f"{first}[^{last}]*{last}" for first, last in QUOTES)
_PIECE = re.compile(rf"\s*(?P<quoted>{_QUOTED})\s*(?:,|$)|(?P<plain>[^,]*)(?:,|$)")


def unquote(text: str) -> str:
    """`text` without the pair of quotes around it, if there is one."""
    return text[1:-1] if text[:1] + text[1:][-1:] in QUOTES else text


@dataclass(frozen=True)
class Piece:
    """A piece of a list, without blanks and quotes around it."""

    text: str
    is_quoted: bool


def split_list(text: str) -> list[str]:
    """The pieces of `text` between commas and line breaks, without blanks and quotes around them.

    Quotes around a piece keep a comma in it. Empty lines and commas at the end of a line part nothing.
    """
    return [piece.text for line in split_pieces(text) for piece in line]


def split_pieces(text: str) -> list[list[Piece]]:
    """The pieces of each line of `text`, as in `split_list`."""
    return [_split_line(line.strip()) for line in text.replace("\r", "\n").split("\n")]


def _split_line(line: str) -> list[Piece]:
    pieces, position = [], 0
    while position < len(line):
        match = _PIECE.match(line, position)
        assert match is not None  # `plain` matches anything
        quoted, plain = match["quoted"], match["plain"]
        pieces.append(Piece(plain.strip(), False) if quoted is None else Piece(unquote(quoted), True))
        position = match.end()
    while pieces and pieces[-1] == Piece("", is_quoted=False):
        pieces.pop()
    return pieces


def user_path(text: str | os.PathLike[str], below: str | os.PathLike[str] = "") -> Path:
    """The path that `text` means, in folder `below` unless it is absolute.

    A file or folder of exactly that name comes first. Then quotes around the path are left out and `~` is the home
    folder; then, if there is such a file or folder, blanks around it are left out, and backslashes are slashes.
    """
    typed = os.fspath(text)
    usual, stripped = _expand(typed), typed.strip()
    spellings = dict.fromkeys((typed, usual, _expand(stripped), _expand(stripped.replace("\\", "/"))))
    paths = [Path(below, spelling) for spelling in spellings if spelling]
    if len(paths) > 1:  # looking costs time on a network drive
        paths = [path for path in paths if os.path.exists(path)]
    return paths[0] if paths else Path(below, usual)


def _expand(text: str) -> str:
    return os.path.expanduser(unquote(text))
