"""Text files as editors and spreadsheets of any system write them, and lists of picture files."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from ..errors import TamingError
from ..user_text import user_path


def decode_text(content: bytes) -> str:
    """`content`, UTF-8 or by its byte order mark UTF-16, with line feeds as line ends and without that mark.

    Raises: UnicodeDecodeError if it is neither.
    """
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = content.decode("utf-16" if is_utf16 else "utf-8-sig")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_list(file: Path) -> list[Path]:
    """The paths in a text file, one per line, in its folder unless they are absolute; # begins a comment.

    Raises: TamingError if it cannot be read.
    """
    try:
        lines = decode_text(file.read_bytes()).split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise TamingError(
            f"The list {file} cannot be read: {error}. Give a text file in UTF-8 with one path per line."
        ) from error
    return [path for line in lines if line.strip() and (path := _listed_path(line, file.parent)) is not None]


def _listed_path(line: str, folder: Path) -> Path | None:
    """The path in a line; None for a comment. A file of exactly that name comes first."""
    path = user_path(line, folder)
    is_comment, bare = line.lstrip().startswith("#"), re.sub(r"\s#.*", "", line).rstrip(" \t,;")
    if not is_comment and bare == line:  # looking costs time on a network drive
        return path
    if path.exists():
        return path
    return None if is_comment else user_path(bare, folder)
