"""Which of many files are usable pictures, and why the others are not."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO

from PIL import UnidentifiedImageError

from .image_io import PICTURE_SUFFIXES, UNREADABLE_PICTURE, picture_size
from .image_lists import decode_text

# Pictures too, so a folder of them must not look empty without a word.
FOREIGN_SUFFIXES = (".heic", ".heif", ".avif", ".jxl", ".jp2", ".psd", ".svg", ".dng", ".cr2", ".nef", ".arw")

_NUM_THREADS = 8  # opening a file is mostly waiting, above all for a network drive


@dataclass(frozen=True)
class Skipped:
    """Something that is not used, by its path below the folder, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class PictureFile:
    """A picture that can be used, as it was when it was found."""

    path: Path
    name: str  # path below the folder, with forward slashes, printable whatever the disk holds
    num_bytes: int
    modified_ns: int
    label: str | None
    caption: str | None
    offset: int | None = None  # where it starts, if `path` is a tar file that it lies in

    def open(self) -> Path | IO[bytes]:
        """What `decode_picture` takes."""
        if self.offset is None:
            return self.path
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return BytesIO(file.read(self.num_bytes))


@dataclass(frozen=True)
class Scan:
    """What was found."""

    files: tuple[PictureFile, ...]
    skipped: tuple[Skipped, ...]


def find_pictures(folder: Path) -> tuple[list[Path], list[Skipped]]:
    """All picture files in `folder` and below, in natural order, and what cannot be looked into.

    Links are followed, once each. Names that start with a dot are left alone.
    """
    paths: list[Path] = []
    skipped: list[Skipped] = []

    def note(error: OSError) -> None:
        skipped.append(Skipped(printable_name(Path(error.filename), folder), describe(error)))

    seen = set()
    for parent, folders, names in os.walk(folder, onerror=note, followlinks=True):
        seen.add(os.path.realpath(parent))
        inner = sorted(name for name in folders if not name.startswith("."))
        folders[:] = [name for name in inner if os.path.realpath(os.path.join(parent, name)) not in seen]
        for path in (Path(parent, name) for name in names if not name.startswith(".")):
            if path.suffix.lower() in PICTURE_SUFFIXES:
                paths.append(path)
            elif path.suffix.lower() in FOREIGN_SUFFIXES:
                reason = f"{path.suffix.lower()} files are not read; save it as JPEG or PNG"
                skipped.append(Skipped(printable_name(path, folder), reason))
    paths.sort(key=lambda path: [natural_key(part) for part in path.relative_to(folder).parts])
    return paths, skipped


def scan_pictures(paths: Iterable[Path], folder: Path, min_px: int, labels: Mapping[Path, str] | None = None) -> Scan:
    """Look at the first bytes of each of `paths`, in their order; nothing that is wrong with one is fatal.

    With `labels`, only pictures that have one are used.
    """
    found: list[PictureFile] = []
    skipped: list[Skipped] = []
    with ThreadPoolExecutor(_NUM_THREADS) as pool:
        for results in pool.map(lambda path: list(_inspect(path, folder, min_px, labels)), paths):
            found += [result for result in results if isinstance(result, PictureFile)]
            skipped += [result for result in results if isinstance(result, Skipped)]
    return Scan(tuple(found), tuple(skipped))


def describe(error: Exception) -> str:
    """Why a file could not be read, in words without its path."""
    if isinstance(error, FileNotFoundError):
        return "it is not there"
    if isinstance(error, PermissionError):
        return "there is no permission to read it"
    if isinstance(error, UnidentifiedImageError):
        return "it is not a picture, or damaged from the start"
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"it cannot be read: {ascii(words)[1:-1].rstrip('.') or type(error).__name__}"


def natural_key(name: str) -> tuple[str, str]:
    """Sorts 2 before 10, and equal names of different case always in the same order."""
    return re.sub(r"[0-9]+", lambda digits: digits[0].rjust(20, "0"), name.casefold()), name


def printable_name(path: Path, folder: Path) -> str:
    """`path` below `folder`; bytes that are no text in the file system's encoding are escaped."""
    name = path.relative_to(folder) if path.is_relative_to(folder) else path
    return escaped(name.as_posix())


def escaped(name: str) -> str:
    """`name` with what is no text escaped."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def reason_against(size_px: tuple[int, int], min_px: int, lacks_label: bool) -> str:
    """Why a picture of this size is not used; empty if it is."""
    width, height = size_px
    if min(width, height) < min_px:
        return f"{width}x{height} px is smaller than {min_px} px"
    return "it has no label" if lacks_label else ""


def _inspect(
    path: Path, folder: Path, min_px: int, labels: Mapping[Path, str] | None
) -> Iterator[PictureFile | Skipped]:
    name = printable_name(path, folder)
    try:
        status = path.stat()
        if not status.st_size:
            yield Skipped(name, "the file is empty")
            return
        label = None if labels is None else labels.get(path)
        reason = reason_against(picture_size(path), min_px, labels is not None and label is None)
    except UNREADABLE_PICTURE as error:
        yield Skipped(name, describe(error))
        return
    if reason:
        yield Skipped(name, reason)
        return
    caption, problem = _read_caption(path.with_suffix(".txt"))
    if problem:
        yield Skipped(printable_name(path.with_suffix(".txt"), folder), problem)
    yield PictureFile(path, name, status.st_size, status.st_mtime_ns, label, caption)


def _read_caption(path: Path) -> tuple[str | None, str]:
    """The caption, if there is one, and what is wrong with it, if something is."""
    try:
        return decode_text(path.read_bytes()).strip() or None, ""
    except FileNotFoundError:
        return None, ""
    except UnicodeDecodeError:
        return None, "the caption is not UTF-8 text; its picture is used without"
    except OSError as error:
        return None, f"{describe(error)}; its picture is used without a caption"
