"""The folder of a run: it can be written, and is there only if something came into it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import ConfigError


@contextmanager
def run_folder(out: Path) -> Iterator[None]:
    """Have the folder `out` in here; if nothing was written into it, it goes again, with those made for it.

    Raises: ConfigError if it cannot be made, or nothing can be written there: before the work of hours is lost.
    """
    made = missing_folders(out)
    try:
        try_writing(out)
    except OSError as error:
        remove_empty(made)
        raise ConfigError(
            f"The run's folder {out} cannot be written: {error.strerror}. Give the run another folder, or make this "
            "one writable."
        ) from error
    try:
        yield
    finally:
        remove_empty(made)


def try_writing(folder: Path) -> None:
    """Make `folder`, and a file in it, which goes again.

    Raises: OSError if that cannot be done.
    """
    folder.mkdir(parents=True, exist_ok=True)
    trial = folder / f".{os.getpid()}.trial"
    trial.touch()
    trial.unlink()


def missing_folders(folder: Path) -> list[Path]:
    """`folder` and those above it, the innermost first, as far as they are not there."""
    missing = []
    for each in (folder, *folder.parents):
        if each.exists():
            break
        missing.append(each)
    return missing


def remove_empty(folders: list[Path]) -> None:
    """Remove `folders`, the innermost first, up to the first with something in it."""
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:  # it holds something, or was never made
            return
