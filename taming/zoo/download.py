"""Downloading a checkpoint of the zoo, only when asked: resumes, checks, and moves it into place whole."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from ..errors import TamingError
from ..file_names import check_free
from ..text import shorten_error
from . import ZooModel

Progress = Callable[[int, "int | None"], None]  # bytes so far, bytes in all where the server says

CHUNK_BYTES = 2**20
TIMEOUT_S = 60
HTML_STARTS = (b"<!doctype", b"<html", b"<head", b"<script")


def download(
    model: ZooModel, folder: str | os.PathLike[str], progress: Progress | None = None, overwrite: bool = False
) -> Path:
    """Fetch the file of `model` into `folder` and return its path; a file that is already there is only checked.

    With `overwrite`, another file of that name is replaced when the download is whole.

    What an interrupted download leaves, `<file>.part`, is continued by the next one. What `progress` raises ends it.

    Raises: TamingError if the model has no direct address, the server or the disk does not play along, or the file
        is not the one that was published.
    """
    folder = Path(folder)
    target = folder / model.file
    if target.exists():
        try:
            _check(target, model, f"Move it away to download {model.name}, or say --overwrite to replace it.")
            return target
        except TamingError:
            if not overwrite:
                raise
    if model.url is None:
        raise TamingError(
            f"{model.name} has no address that a program can fetch. Get it from {model.source} and save it as "
            f"{target}.{' ' + model.note if model.note else ''}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    if not part.exists() or part.stat().st_size != model.size_bytes:
        _fetch(model, model.url, part, progress)
    try:
        _check(part, model, "It was deleted; download it again.")
    except TamingError:
        part.unlink()
        raise
    if not overwrite:
        check_free([target], f"It was not when this began. {part} is the whole download.")
    os.replace(part, target)
    return target


def _fetch(model: ZooModel, url: str, part: Path, progress: Progress | None) -> None:
    """Make `part` the whole answer of the server, going on from what it holds."""
    host = urlsplit(url).hostname
    try:
        with _open(url, part) as response:
            start, total = _extent(response, part)
            _check_answer(model, response, total)
            _check_space(part, start, total)
            _write(response, part, start, total, progress)
    except HTTPError as error:
        raise TamingError(
            f"{host} answered {error.code} ({error.reason}) for {model.file}: the link may be dead. "
            f"Look at {model.source}."
        ) from error
    except (OSError, HTTPException) as error:  # URLError and timeouts are OSErrors; so is a full disk
        raise TamingError(
            f"{model.file} could not be downloaded from {host} ({shorten_error(error)}). "
            "Check the connection and run the same command again: it goes on where it stopped."
        ) from error
    if total is not None and part.stat().st_size != total:
        raise TamingError(
            f"{host} closed the connection after {part.stat().st_size:,} of {total:,} bytes of {model.file}. "
            "Run the same command again: it goes on where it stopped."
        )


def _open(url: str, part: Path) -> HTTPResponse:
    """Ask for what `part` lacks; for everything if the server finds nothing there."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "taming-tokens", "Accept-Encoding": "identity"}
    if have:
        try:
            return urlopen(Request(url, headers={**headers, "Range": f"bytes={have}-"}), timeout=TIMEOUT_S)
        except HTTPError as error:
            if error.code != 416:  # the part is longer than the file, or exactly as long
                raise
            error.close()
    return urlopen(Request(url, headers=headers), timeout=TIMEOUT_S)


def _extent(response: HTTPResponse, part: Path) -> tuple[int, int | None]:
    """Where the answer begins in the file, and the size of the whole file where the server says it."""
    if response.status == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
        if match is None or int(match[1]) != part.stat().st_size:
            raise HTTPException("it answered with another part of the file than was asked for")
        return int(match[1]), int(match[2])
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else None


def _check_answer(model: ZooModel, response: HTTPResponse, total: int | None) -> None:
    """Refuse what cannot be the file before anything is written."""
    if response.headers.get_content_type() == "text/html":
        raise TamingError(
            f"{urlsplit(response.url).hostname} sent a web page instead of {model.file}: the link needs a login or is "
            f"dead. Look at {model.source}."
        )
    if None not in (total, model.size_bytes) and total != model.size_bytes:
        raise TamingError(
            f"{urlsplit(response.url).hostname} offers a {model.file} of {total:,} bytes, but the published one has "
            f"{model.size_bytes:,}: not downloaded. Look at {model.source}."
        )


def _check_space(part: Path, start: int, total: int | None) -> None:
    free = shutil.disk_usage(part.parent).free
    held = part.stat().st_size - start if part.exists() else 0  # what will be written over
    if total is not None and total - start > free + held:
        raise TamingError(
            f"{part.parent} has {free:,} bytes free, and {total - start:,} more are needed. Make room, or give another "
            "folder."
        )


def _write(response: HTTPResponse, part: Path, start: int, total: int | None, progress: Progress | None) -> None:
    with part.open("r+b" if part.exists() else "wb") as file:
        file.truncate(start)
        file.seek(start)
        while chunk := response.read(CHUNK_BYTES):
            file.write(chunk)
            if progress is not None:
                progress(file.tell(), total)


def _check(path: Path, model: ZooModel, advice: str) -> None:
    """Raise TamingError unless the file at `path` is the published one, as far as that is known."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(64).lstrip().lower()
        if size == 0 or start.startswith(HTML_STARTS):
            raise TamingError(f"{path.name} is {'a web page' if size else 'empty'}, not weights. {advice}")
        if model.size_bytes not in (None, size):
            raise TamingError(f"{path.name} has {size:,} bytes, the published file {model.size_bytes:,}. {advice}")
        if model.sha256 is None:
            return
        file.seek(0)
        digest = hashlib.sha256()
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    if digest.hexdigest() != model.sha256:
        raise TamingError(
            f"{path.name} is damaged or another file: its SHA-256 is {digest.hexdigest()}, the published one is "
            f"{model.sha256}. {advice}"
        )
