"""What a transformer reads of a data set, kept on disk: a run that was killed goes on, a damaged file is made again."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from ..data import CenterCrop, Compose, Dataset, ResizeShorter, Sample
from ..errors import TamingError, TokensError

_FORMAT = 2  # goes up when the same pictures would get other tokens
_CHUNK = 1024  # records read at a time
_HEAD = 12  # bytes of the unfinished file before its records

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reading:
    """Pictures as a transformer reads them."""

    prefix: Tensor  # (B, S) int64: what it is told
    tokens: Tensor  # (B, h, w) int64


@dataclass(frozen=True)
class TokenSet:
    """Every picture as it is read; with flips the rows 2i and 2i + 1 are picture i and its mirror image."""

    prefix: np.ndarray  # (rows, S) uint16, or int32 for larger vocabularies; memory-mapped
    tokens: np.ndarray  # (rows, h * w), likewise
    grid: tuple[int, int]  # h, w


def cached_tokens(
    dataset: Dataset,
    read: Callable[[Sequence[Sample]], Reading],
    reader_id: str,
    size_px: int,
    folder: Path,
    batch_size: int = 32,
    flips: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> TokenSet:
    """The middle square of each picture, resized to `size_px`, as `read` reads it; only where that is not on disk.

    It is stored under a hash of the data, the reader, the size and the flips: when one changes, a new file is made
    beside the old one. One process at a time may make a file; others wait for it and then call this too.

    Args:
        read: called without grad; must take every picture for itself, and give a prefix of one length throughout.
        reader_id: changes with what `read` does: a hash of the tokenizer's weights and of what it is told.
        progress: told the number of pictures done and of all, after each batch; what it raises stops the work, and
            the next call goes on.

    Raises:
        TamingError: the files cannot be written.
        TokensError: `read` gives something else.
    """
    told = [_FORMAT, dataset.fingerprint, reader_id, size_px, flips]
    key = hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]
    path = Path(folder) / f"tokens-{key}.npy"
    rows = len(dataset) * (1 + flips)
    finished = _open(path, rows)
    if finished is not None:
        return finished
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        with partial.open("r+b" if partial.exists() else "w+b") as file:
            records = _Records(file, 1 + flips)
            if records.done:
                _log.info("Going on with %s at picture %d of %d.", path.name, records.done, len(dataset))
            _read_rest(dataset, read, size_px, batch_size, records, progress)
            _finish(path, records, rows)
        partial.unlink()
    except OSError as error:
        raise TamingError(
            f"The tokens cannot be stored in {folder}: {error}. "
            "Free some space there, or choose another folder; what is done is kept."
        ) from error
    finished = _open(path, rows)
    assert finished is not None
    return finished


class _Records:
    """The unfinished file: the shape, then for each picture what is read of its views and a checksum, uint32 each.

    It only grows, so whatever instant a process dies at, all but the last records are whole.
    """

    def __init__(self, file: BinaryIO, views: int) -> None:
        self.file, self.views = file, views
        self.done = 0
        head = np.frombuffer(file.read(_HEAD).ljust(_HEAD, b"\0"), "<u4")
        self.shape = int(head[0]), int(head[1]), int(head[2])  # S, h, w
        for records in self.read():
            self.done += len(records)
        file.seek(_HEAD + self.done * self._words * 4 if self.done else 0)
        file.truncate()

    @property
    def row_length(self) -> int:
        """Numbers of one view: its prefix, then its tokens."""
        return self.shape[0] + self.shape[1] * self.shape[2]

    @property
    def _words(self) -> int:
        return self.views * self.row_length + 1

    def append(self, views: Sequence[Reading]) -> None:
        """Add pictures: each of their views, of the whole batch."""
        for view in views:
            shape = (view.prefix.shape[1], *view.tokens.shape[1:])
            if not self.done and view is views[0]:
                self.shape = shape
                self.file.write(np.array(shape, "<u4").tobytes())
            if shape != self.shape:
                raise TokensError(
                    f"After {self.shape[0]} tokens of condition and a grid of {self.shape[1]}x{self.shape[2]} (height "
                    f"x width) came {shape[0]} and {shape[1]}x{shape[2]}. All pictures of one size must be read alike."
                )
        parts = [part.flatten(1).cpu().numpy() for view in views for part in (view.prefix, view.tokens)]
        body = np.concatenate(parts, axis=1).astype("<u4")  # (B, views * row_length)
        sums = np.array([[zlib.crc32(row.tobytes())] for row in body], "<u4")
        self.file.write(np.concatenate([body, sums], axis=1).tobytes())
        self.file.flush()
        self.done += len(body)

    def read(self) -> Iterator[np.ndarray]:
        """All records without their checksums, (n, views * row_length) uint32 at a time, up to the first bad one."""
        size = self._words * 4
        total = (self.file.seek(0, os.SEEK_END) - _HEAD) // size
        self.file.seek(_HEAD)
        for first in range(0, total, _CHUNK):
            data = self.file.read(min(_CHUNK, total - first) * size)
            records = np.frombuffer(data, "<u4").reshape(-1, self._words)  # (n, words)
            good = [zlib.crc32(record[:-1].tobytes()) == record[-1] for record in records]
            if not all(good):
                yield records[: good.index(False), :-1]
                return
            yield records[:, :-1]


@torch.no_grad()
def _read_rest(
    dataset: Dataset,
    read: Callable[[Sequence[Sample]], Reading],
    size_px: int,
    batch_size: int,
    records: _Records,
    progress: Callable[[int, int], None] | None,
) -> None:
    framed, rng = Compose((ResizeShorter(size_px), CenterCrop(size_px))), np.random.default_rng(0)
    # Decoding takes longer than encoding on a GPU, and runs outside Python's lock.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        while records.done < len(dataset):
            numbers = range(records.done, min(records.done + batch_size, len(dataset)))
            samples = list(pool.map(lambda number: framed(dataset[number], rng), numbers))
            views = [samples, [sample.mirrored() for sample in samples]][: records.views]
            records.append([_checked(read(view), len(samples)) for view in views])
            if progress:
                progress(records.done, len(dataset))


def _checked(reading: Reading, batch_size: int) -> Reading:
    for name, tokens, ndim, shape in (("tokens", reading.tokens, 3, "h, w"), ("a prefix", reading.prefix, 2, "S")):
        is_shaped = tokens.ndim == ndim and len(tokens) == batch_size and not tokens.is_floating_point()
        if not is_shaped or (tokens.numel() and int(tokens.min()) < 0):
            raise TokensError(
                f"The reader gave {name} of {tokens.dtype} and shape {tuple(tokens.shape)} for {batch_size} pictures. "
                f"They are whole numbers from 0, of shape ({batch_size}, {shape})."
            )
    return reading


def _finish(path: Path, records: _Records, rows: int) -> None:
    """Write what is used later: the rows, in numbers as small as they go, and last the note that says all is there."""
    highest = max(int(chunk.max()) for chunk in records.read())
    dtype, checksum = np.dtype("<u2" if highest < 2**16 else "<i4"), 0
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("wb") as file:
        header = {"descr": dtype.str, "fortran_order": False, "shape": (rows, records.row_length)}
        np.lib.format.write_array_header_1_0(file, header)
        for chunk in records.read():
            data = chunk.astype(dtype).tobytes()
            checksum = zlib.crc32(data, checksum)
            file.write(data)
    os.replace(unfinished, path)
    unfinished.write_text(json.dumps({"crc32": checksum, "shape": records.shape}), encoding="ascii")
    os.replace(unfinished, path.with_suffix(".json"))


def _open(path: Path, rows: int) -> TokenSet | None:
    """The finished set, or None where something is missing or damaged."""
    try:
        note = json.loads(path.with_suffix(".json").read_text(encoding="ascii"))
        stored = np.load(path, mmap_mode="r")
        length, height, width = note["shape"]
        if stored.shape == (rows, length + height * width) and note["crc32"] == zlib.crc32(stored.data):
            return TokenSet(stored[:, :length], stored[:, length:], (height, width))
    except FileNotFoundError:
        return None
    except (OSError, EOFError, ValueError, LookupError, TypeError) as error:
        _log.debug("%s: %s", path, error)
    _log.warning("%s is damaged and will be made again.", path)
    return None
