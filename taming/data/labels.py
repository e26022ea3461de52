"""Labels of picture files: from the folders that they lie in, or from a CSV table."""

from __future__ import annotations

import csv
import io
import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import TamingError
from ..user_text import unquote
from .image_lists import decode_text
from .scan import Skipped

DELIMITERS = ",;\t"  # of spreadsheets: by language, or as "Unicode text"
COLUMNS = ("file", "label")


@dataclass(frozen=True)
class Row:
    """A row of a table of labels."""

    line: int  # in the file, counted from 1
    file: str
    label: str
    is_comment: bool  # if there is no such file


def folder_labels(paths: Sequence[Path], folder: Path) -> dict[Path, str]:
    """The name of the folder directly below `folder` that each file is in; files beside those folders have none."""
    inner = {path: path.relative_to(folder).parts for path in paths}
    return {path: parts[0] for path, parts in inner.items() if len(parts) > 1}


def table_labels(table: Path, paths: Sequence[Path], folder: Path) -> tuple[dict[Path, str], list[Skipped]]:
    """The column `label` of the rows whose `file`, a path below `folder`, is one of `paths`; and what fits nothing.

    Raises:
        TamingError: the table cannot be read or has other columns.
    """
    find = _Finder(paths, folder)
    labels: dict[Path, str] = {}
    amiss: list[Skipped] = []
    contradicted = set()
    for row in _read_rows(table):
        path, name = find(row.file), row.file.strip()
        if path is None and row.is_comment:
            continue
        if path is None:
            reason = f"row {row.line} of {table.name} names it, but no such picture is in the folder"
            amiss.append(Skipped(name, reason))
        elif labels.get(path, row.label) != row.label:
            reason = f"{table.name} gives it two labels, {labels[path]!a} and {row.label!a}"
            amiss.append(Skipped(name, reason))
            contradicted.add(path)
        elif row.label:
            labels[path] = row.label
    return {path: label for path, label in labels.items() if path not in contradicted}, amiss


def plain_name(name: str) -> str:
    """`name` of a file, however it is written: Windows has backslashes, macOS an accent as a letter of its own."""
    return unicodedata.normalize("NFC", name.replace("\\", "/")).removeprefix("./")


class _Finder:
    """Which of `paths` in `folder` a table means; a file of exactly the name that is written comes first."""

    def __init__(self, paths: Sequence[Path], folder: Path) -> None:
        self._folder = os.path.abspath(folder)
        self._exact = {path.relative_to(folder).as_posix(): path for path in paths}
        self._plain = {plain_name(name): path for name, path in self._exact.items()}

    def __call__(self, cell: str) -> Path | None:
        name = unquote(cell.strip())
        for spelling in (cell, cell.strip(), name):
            if spelling in self._exact:
                return self._exact[spelling]
        whole = os.path.expanduser(name)
        if os.path.isabs(whole):
            name = os.path.relpath(whole, self._folder)
        return self._plain.get(plain_name(name))


def _read_rows(table: Path) -> Iterator[Row]:
    """The rows below the header; raises TamingError for what is no table of labels."""
    try:
        text = decode_text(table.read_bytes())
        delimiter = _find_delimiter(text)
        has_blanks = re.search(f'{delimiter} +"', text) is not None  # between it and a quoted cell
        reader = csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=has_blanks)
        rows = [(reader.line_num, row) for row in reader if any(map(str.strip, row))]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TamingError(
            f"The labels {table} cannot be read: {error}. Give a CSV file in UTF-8 with the columns file,label."
        ) from error
    head = next((number for number, (_, row) in enumerate(rows) if not _is_aside(row)), len(rows))
    columns = _names(rows[head][1]) if head < len(rows) else []
    if not set(COLUMNS) <= set(columns):
        raise TamingError(
            f"The labels {table} have the columns {', '.join(columns) or 'of an empty file'}. "
            "Give a table whose first line is file,label, separated by commas, semicolons or tabs."
        )
    for line, row in rows[head + 1 :]:
        cells = dict(zip(columns, row, strict=False))  # rows may be shorter
        yield Row(line, cells.get("file", ""), cells.get("label", "").strip(), row[0].lstrip().startswith("#"))


def _find_delimiter(text: str) -> str:
    """The first delimiter by which a line among the first has the columns; a comma where there is none."""
    lines = [line for line in text.split("\n") if line.strip() and not _is_aside([line])][:1]
    found = [each for each in DELIMITERS for line in lines if set(COLUMNS) <= set(_names(line.split(each)))]
    return found[0] if found else DELIMITERS[0]


def _is_aside(row: Sequence[str]) -> bool:
    """Whether a row before the header is a comment, or says the delimiter as Excel reads it."""
    return row[0].lstrip().startswith("#") or re.fullmatch(r"sep=.?", row[0].strip(), re.IGNORECASE) is not None


def _names(cells: Sequence[str]) -> list[str]:
    return [unquote(cell.strip()).strip().lower() for cell in cells]
