"""Telling what kind of file lies at a path, from its content: names and extensions are not to be trusted."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Literal

from ..errors import CheckpointError
from ..text import shorten_error

Container = Literal["safetensors", "zip", "pickle"]

# First bytes of files that people save under a checkpoint's name.
FOREIGN_SIGNATURES: dict[bytes, str] = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"RIFF": "a WebP image or a RIFF recording",
    b"%PDF": "a PDF document",
    b"version https://git-lfs": "a Git LFS pointer: fetch the file that it points to with 'git lfs pull'",
    b"\x1f\x8b": "a gzip archive: unpack it",
    b"BZh": "a bzip2 archive: unpack it",
    b"\xfd7zXZ": "an xz archive: unpack it",
    b"7z\xbc\xaf": "a 7-Zip archive: unpack it",
    b"Rar!": "a RAR archive: unpack it",
    b"GGUF": "a GGUF model of another program",
    b"\x89HDF": "an HDF5 file (Keras?)",
    b"\x93NUMPY": "a NumPy array",
    b"\x7fELF": "a program",
    b"MZ": "a Windows program",
}
DAMAGED_ZIP = (zipfile.BadZipFile, NotImplementedError, OSError, ValueError)  # what zipfile raises for broken fields
NOT_UTF8 = re.compile(r"[\x00\ud800-\udfff]")  # the latter stand for bytes, or halves of characters
HTML_STARTS = (b"<!doctype", b"<html", b"<head", b"<script", b"<?xml", b"<!--")


def check_path(path: Path) -> None:
    """Raise CheckpointError for a path that safetensors and torch cannot open, for reading or for writing."""
    if NOT_UTF8.search(str(path)):
        raise CheckpointError(
            f"{path}: this path is not UTF-8 text, and safetensors and PyTorch open no others. Rename the file or its "
            "folder."
        )


def identify_container(path: Path) -> Container:
    """The container format of the weights file at `path`.

    Raises: CheckpointError, for anything that is no weights file, naming what it seems to be.
    """
    check_path(path)
    if path.is_dir():
        raise CheckpointError(f"{path.name} is a folder, not a weights file.")
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(512)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path.name} does not exist in {path.parent.absolute()}.") from error
    except OSError as error:
        raise CheckpointError(f"{path.name} cannot be read: {error.strerror}.") from error
    if size == 0:
        raise CheckpointError(f"{path.name} is empty (0 bytes): download it again.")
    if head[8:9] == b"{" and head[9:10] in (b'"', b"}", b" "):
        _check_safetensors(path, size, int.from_bytes(head[:8], "little"))
        return "safetensors"
    if head.startswith(b"PK\x03\x04"):
        _check_zip(path, size)
        return "zip"
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "pickle"
    raise CheckpointError(f"{path.name} is not a weights file: it {_describe(head)}. Choose another file.")


def _describe(head: bytes) -> str:
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(HTML_STARTS):
        return "looks like an HTML page, so the download link needs a login or led to an error page"
    for signature, description in FOREIGN_SIGNATURES.items():
        if head.startswith(signature):
            return f"looks like {description}"
    if not head.strip(b"\0"):
        return "begins with zeros only, as an interrupted download does"
    return f"is neither safetensors nor a PyTorch checkpoint (first bytes: {head[:8].hex(' ')})"


def _check_safetensors(path: Path, size: int, header_size: int) -> None:
    if header_size > size - 8:
        raise CheckpointError(
            f"{path.name} is truncated or not honest: its safetensors header claims {header_size} bytes, "
            f"the file has {size}. Download it again."
        )


def _check_zip(path: Path, size: int) -> None:
    """Refuse archives that `torch.save` does not write; it stores entries uncompressed, so it cannot write a bomb."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except DAMAGED_ZIP as error:
        raise CheckpointError(
            f"{path.name} is truncated or damaged: it begins as a PyTorch checkpoint and has no end "
            f"({shorten_error(error)}). Download it again."
        ) from error
    if any(entry.filename.rpartition("/")[2] == "constants.pkl" for entry in entries):
        raise CheckpointError(f"{path.name} is a TorchScript program, not weights: save its state_dict and load that.")
    if sum(map(is_data_pickle, entries)) != 1:
        raise CheckpointError(f"{path.name} is a zip archive, not a PyTorch checkpoint: unpack it.")
    unpacked_size = sum(entry.file_size for entry in entries)
    if unpacked_size > size or any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise CheckpointError(
            f"{path.name} is a compressed archive ({unpacked_size} bytes in {size}), "
            "which PyTorch does not write: not unpacked."
        )


def is_data_pickle(entry: zipfile.ZipInfo) -> bool:
    """Whether the archive member is the pickle of a checkpoint; PyTorch looks it up without regard to case."""
    return entry.filename.lower().rpartition("/")[2] == "data.pkl"
