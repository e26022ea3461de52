"""Names and places of what is written: names that every system can have, and nothing that is there written over."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .errors import TamingError
from .text import shorten, shorten_error

MAX_NAME_BYTES = 200  # file systems allow 255, and numbers and endings are added
MAX_PATH_CHARS = 220 if os.name == "nt" else 1000  # likewise, of 260, and of 4096 bytes
MAX_TITLE_CHARS = 40
DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3]) *(\..*)?", re.IGNORECASE)
FORBIDDEN_CHARS = '<>:"|?*/\\'
FORBIDDEN_CATEGORIES = ("Cc", "Cs", "Zl", "Zp")  # control characters, halves of characters, line breaks


def check_name(name: str) -> None:
    """Raise TamingError unless every system can have a file or folder called `name`."""
    shown, size = shorten(name), len(name.encode("utf-8", "surrogatepass"))
    forbidden = [char for char in name if _is_forbidden(char)]
    if not name.strip():
        raise TamingError("the name is empty. Give one such as my_model.")
    if not name.strip(". "):
        raise TamingError(f"{shown} has nothing but dots. Give a name such as my_model.")
    if forbidden:
        raise TamingError(f"{shown} has {shorten(forbidden[0])}, which some systems forbid in names. Leave it out.")
    if name[0] == " " or name[-1] in " .":
        raise TamingError(f"{shown} begins or ends with a space or ends with a dot, which Windows drops. Leave it out.")
    if DEVICE.fullmatch(name):
        raise TamingError(f"{shown} is a device on Windows and cannot be a file there. Choose another name.")
    if size > MAX_NAME_BYTES:
        raise TamingError(f"{shown} takes {size} bytes; a name may take {MAX_NAME_BYTES}. Choose a shorter one.")


def mend_name(name: str) -> str:
    """`name`, changed until `check_name` accepts it."""
    mended = "".join("-" if _is_forbidden(char) else char for char in name)
    mended = mended.encode()[:MAX_NAME_BYTES].decode("utf-8", "ignore").lstrip(" ").rstrip(" .")
    return mend_name(f"_{mended}") if not mended.strip() or DEVICE.fullmatch(mended) else mended


def name_of_text(text: str) -> str:
    """What to call a file about `text`, a label or a prompt: its words, with hyphens between them.

    Where more is lost than a space, or a comma and a space, between two words, part of a hash of `text` follows, so
    that other texts have other names.
    """
    text = unicodedata.normalize("NFC", text)
    words = "".join(char if _is_of_a_word(char) else " " for char in text).split()
    title = "-".join(words)
    if title == re.sub(r", | ", "-", text) and 0 < len(title) <= MAX_TITLE_CHARS:
        return title
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{title[:MAX_TITLE_CHARS]}-{digest}".lstrip("-")


def check_new_folder(folder: Path) -> None:
    """Raise TamingError if `folder` cannot be made: it, or one that it lies in, is a file, or has a forbidden name."""
    for part in (folder, *folder.absolute().parents):
        _check_way(part)
        if not os.path.lexists(part) and part.name not in ("", ".."):
            check_name(part.name)


def make_folder(folder: Path) -> None:
    """Make `folder` and those that it lies in, where they are not there yet.

    Raises: TamingError where that cannot be.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TamingError(f"{folder} cannot be made: {shorten_error(error)}. Choose another folder.") from error


def path_below(root: Path, name: str, place: str) -> Path:
    """The path called `name`, with / or \\ between folders, below `root`, which `place` describes.

    Nothing of it has to be there yet. A link in it is followed: only who owns the machine can have put it there.

    Raises: TamingError if it is none, is not below `root`, or leads through a file or a link to nowhere.
    """
    parts = [part for part in re.split(r"[/\\]", _relative(root, name, place)) if part not in ("", ".")]
    if not parts:
        raise TamingError(f"{shorten(name)} is no name below {place}. Give one such as my_model.")
    path = root
    for part in parts:
        check_name(part)
        path /= part
    if len(str(path)) > MAX_PATH_CHARS:
        raise TamingError(f"{shorten(name)} makes a path of {len(str(path))} characters. Choose a shorter name.")
    for folder in reversed(path.parents[: len(parts) - 1]):
        _check_way(folder)
    return path


def folder_below(root: Path, name: str, place: str) -> Path:
    """The folder called `name` below `root`, as `path_below` finds it.

    Raises: TamingError likewise, and if it is a file, or `root` itself by a link.
    """
    folder = path_below(root, name, place)
    _check_way(folder)
    if folder.resolve() == root.resolve():
        raise TamingError(f"{shorten(name)} is a link to {place} itself. Give another name, such as taming/first.")
    return folder


def check_free(paths: Sequence[Path], advice: str) -> None:
    """Raise TamingError, ending with `advice`, if anything is at one of `paths`."""
    taken = [path for path in paths if os.path.lexists(path)]
    if taken:
        more = f" and {len(taken) - 1} more are" if len(taken) > 1 else " is"
        raise TamingError(f"{taken[0]}{more} there already, and nothing is overwritten. {advice}")


@contextmanager
def written_at_once(path: Path, overwrite: bool) -> Iterator[Path]:
    """A file beside `path`, of the same kind, to write: it becomes `path` at the end, or is gone if that fails.

    Raises: TamingError if something is at `path` by then, unless `overwrite`.
    """
    unfinished = path.with_name(f".{os.getpid()}.part{path.suffix}")
    try:
        yield unfinished
        if not overwrite:
            check_free([path], "It was not when this began: another program may be writing there.")
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _check_way(folder: Path) -> None:
    """Raise TamingError if what is at `folder` is a file, or a link to nowhere."""
    if os.path.islink(folder) and not os.path.exists(folder):
        raise TamingError(f"{folder} is a link to {os.readlink(folder)}, which is not there. Mend it, or remove it.")
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise TamingError(f"{folder} is a file, not a folder. Choose another name, or move it away.")


def _relative(root: Path, name: str, place: str) -> str:
    """`name`, without `root` where it begins with it."""
    if not (Path(name).anchor or name.startswith(("/", "\\"))):
        return name
    for base in (root, root.resolve()):
        if Path(name).is_relative_to(base):
            return Path(name).relative_to(base).as_posix()
    raise TamingError(f"{shorten(name)} is not below {place}. Give a name such as taming/first.")


def _is_forbidden(char: str) -> bool:
    return char in FORBIDDEN_CHARS or unicodedata.category(char) in FORBIDDEN_CATEGORIES


def _is_of_a_word(char: str) -> bool:
    return char == "_" or char.isalnum() or unicodedata.category(char).startswith("M")
