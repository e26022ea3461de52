"""Labels of picture files: from the folders that they lie in, or from a CSV table."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from ..errors import TamingError
from .picture_scan import Skipped


def folder_labels(paths: Sequence[Path], folder: Path) -> dict[Path, str]:
    """The name of the folder directly below `folder` that each file is in; files beside those folders have none."""
    inner = {path: path.relative_to(folder).parts for path in paths}
    return {path: parts[0] for path, parts in inner.items() if len(parts) > 1}


def table_labels(table: Path, paths: Sequence[Path], folder: Path) -> tuple[dict[Path, str], list[Skipped]]:
    """The column `label` of the rows whose `file`, a path below `folder`, is one of `paths`; and what fits nothing.

    Raises:
        TamingError: the table cannot be read or has other columns.
    """
    by_name = {_plain(path.relative_to(folder).as_posix()): path for path in paths}
    labels: dict[Path, str] = {}
    amiss: list[Skipped] = []
    contradicted = set()
    for line, (name, label) in enumerate(_read_rows(table), start=2):
        path = by_name.get(_plain(name))
        if path is None:
            amiss.append(Skipped(name, f"row {line} of {table.name} names it, but no such picture is in the folder"))
        elif labels.get(path, label) != label:
            amiss.append(Skipped(name, f"{table.name} gives it two labels, {labels[path]!a} and {label!a}"))
            contradicted.add(path)
        elif label:
            labels[path] = label
    return {path: label for path, label in labels.items() if path not in contradicted}, amiss


def _read_rows(table: Path) -> list[tuple[str, str]]:
    """File and label of each row."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            columns, *rows = [[cell.strip() for cell in row] for row in csv.reader(file) if row] or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TamingError(
            f"The labels {table} cannot be read: {error}. Give a CSV file in UTF-8 with the columns file,label."
        ) from error
    if not {"file", "label"} <= set(columns):
        raise TamingError(
            f"The labels {table} have the columns {', '.join(columns) or 'of an empty file'}. "
            "Give a table whose first line is file,label, separated by commas."
        )
    cells = [dict(zip(columns, row, strict=False)) for row in rows]  # rows may be shorter
    return [(row.get("file", ""), row.get("label", "")) for row in cells]


def _plain(name: str) -> str:
    # A table from Windows has backslashes, and a disk of macOS writes an accent as a letter of its own.
    return unicodedata.normalize("NFC", name.replace("\\", "/")).removeprefix("./")
