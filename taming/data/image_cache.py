"""Decoded pictures of one size in one memory-mapped file, for sets that are small enough."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import TamingError
from .sample import Sample

_FORMAT = 1  # goes up when the same pictures would be stored differently
_BLOCK = 64  # pictures decoded at a time

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PictureCache:
    """Where to keep decoded pictures, and how large: `size_px` on the shorter side, small ones enlarged."""

    folder: Path
    size_px: int
    check: Callable[[], None] = lambda: None  # called again and again while it is filled; what it raises ends that


@dataclass(frozen=True)
class StoredPictures:
    """What is in the file; `stored[i]` is the picture (H, W, 3) and the number of the file that it came from."""

    pixels: np.ndarray  # (bytes,) uint8, memory-mapped
    index: np.ndarray  # (N, 4) int64: where it starts, height, width, source
    notes: Mapping[str, str]  # what the one who filled the file noted

    def __getitem__(self, number: int) -> tuple[np.ndarray, int]:
        start, height, width, source = (int(value) for value in self.index[number])
        return self.pixels[start : start + height * width * 3].reshape(height, width, 3), source


def stored_pictures(
    cache: PictureCache,
    fingerprint: str,
    count: int,
    decode: Callable[[int], tuple[np.ndarray, int]],
    notes: Callable[[], dict[str, str]],
) -> StoredPictures:
    """The pictures 0 to `count` of the set `fingerprint`, from disk if they are there whole, decoded otherwise.

    Raises:
        TamingError: the files cannot be written.
    """
    key = hashlib.sha256(json.dumps([_FORMAT, fingerprint, cache.size_px]).encode()).hexdigest()[:16]
    data = Path(cache.folder) / f"pictures-{key}.bin"
    stored = _open(data, count)
    if stored is not None:
        return stored
    _log.info("Decoding %d pictures into %s.", count, data)
    try:
        data.parent.mkdir(parents=True, exist_ok=True)
        _fill(data, count, cache, decode, notes)
    except OSError as error:
        raise TamingError(
            f"The pictures cannot be stored in {cache.folder}: {error}. "
            "Free some space there, or choose another folder."
        ) from error
    stored = _open(data, count)
    assert stored is not None
    return stored


def _fill(
    data: Path,
    count: int,
    cache: PictureCache,
    decode: Callable[[int], tuple[np.ndarray, int]],
    notes: Callable[[], dict[str, str]],
) -> None:
    def prepare(number: int) -> tuple[np.ndarray, int]:
        image, source = decode(number)
        height, width = image.shape[:2]
        factor = cache.size_px / min(height, width)
        return Sample(image).resized(max(1, round(width * factor)), max(1, round(height * factor))).image, source

    rows, start, checksum = [], 0, 0
    partial = data.with_suffix(".partial")
    try:
        with partial.open("wb") as file, ThreadPoolExecutor(os.cpu_count()) as pool:
            for first in range(0, count, _BLOCK):
                cache.check()
                for image, source in pool.map(prepare, range(first, min(first + _BLOCK, count))):
                    pixels = np.ascontiguousarray(image).tobytes()
                    file.write(pixels)
                    checksum = zlib.crc32(pixels, checksum)
                    rows.append([start, *image.shape[:2], source])
                    start += len(pixels)
        os.replace(partial, data)
        # The index comes last: where it is, all is.
        partial.write_text(json.dumps({"crc32": checksum, "index": rows, "notes": notes()}), encoding="ascii")
        os.replace(partial, data.with_suffix(".json"))
    finally:
        partial.unlink(missing_ok=True)  # what is left of it would keep a full disk full


def _open(data: Path, count: int) -> StoredPictures | None:
    """What is stored, or None where something is missing or damaged."""
    try:
        told = json.loads(data.with_suffix(".json").read_text(encoding="ascii"))
        pixels = np.memmap(data, np.uint8, mode="r")
        index = np.array(told["index"], np.int64).reshape(-1, 4)
        if len(index) == count and zlib.crc32(pixels.data) == told["crc32"]:
            return StoredPictures(pixels, index, told["notes"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError) as error:
        _log.debug("%s: %s", data, error)
    _log.warning("%s is damaged and will be made again.", data)
    return None
