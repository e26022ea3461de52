"""A data set's tokens, encoded once and kept on disk: a run that was killed goes on, a damaged file is made again."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from ..data import CenterCrop, Compose, Dataset, ResizeShorter
from ..errors import TamingError, TokensError
from .batches import to_pixels

_FORMAT = 1  # goes up when the same pictures would get other tokens
_CHUNK = 1024  # records read at a time

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TokenSet:
    """Tokens of every picture; with flips the rows 2i and 2i + 1 are picture i and its mirror image."""

    tokens: np.ndarray  # (rows, h * w) uint16, or int32 for larger vocabularies; memory-mapped
    labels: np.ndarray  # (rows,) int64, -1 where there is none
    grid: tuple[int, int]  # h, w


def cached_tokens(
    dataset: Dataset,
    encode: Callable[[Tensor], Tensor],
    tokenizer_id: str,
    size_px: int,
    folder: Path,
    batch_size: int = 32,
    flips: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> TokenSet:
    """The tokens of the middle square of each picture, resized to `size_px`; encoded only where they are not on disk.

    They are stored under a hash of the data, the tokenizer, the size and the flips: when one changes, a new file is
    made beside the old one. One process at a time may make a file; others wait for it and then call this too.

    Args:
        encode: from pixels (B, 3, size_px, size_px) in [-1, 1], on the CPU, to tokens (B, h, w); called without grad.
        tokenizer_id: changes with the tokenizer's weights, a hash of them for example.
        progress: told the number of pictures done and of all, after each batch; what it raises stops the work, and
            the next call goes on.

    Raises:
        TamingError: the files cannot be written.
        TokensError: `encode` gives something else.
    """
    told = [_FORMAT, dataset.fingerprint, tokenizer_id, size_px, flips]
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
            _encode_rest(dataset, encode, size_px, batch_size, records, progress)
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
    """The unfinished file: the grid, then for each picture its label + 1, its tokens and a checksum, uint32 each.

    It only grows, so whatever instant a process dies at, all but the last records are whole.
    """

    def __init__(self, file: BinaryIO, views: int) -> None:
        self.file, self.views = file, views
        self.done = 0
        head = np.frombuffer(file.read(8).ljust(8, b"\0"), "<u4")
        self.grid = int(head[0]), int(head[1])
        for records in self.read():
            self.done += len(records)
        file.seek(8 + self.done * self._words * 4 if self.done else 0)
        file.truncate()

    @property
    def _words(self) -> int:
        return self.views * self.grid[0] * self.grid[1] + 2

    def append(self, labels: np.ndarray, tokens: np.ndarray) -> None:
        """Add pictures with `labels` (B,) and `tokens` (B, views, h, w)."""
        if not self.done:
            self.grid = tokens.shape[2], tokens.shape[3]
            self.file.write(np.array(self.grid, "<u4").tobytes())
        if tokens.shape[2:] != self.grid:
            raise TokensError(
                f"The tokenizer gave a grid of {tokens.shape[2]}x{tokens.shape[3]} tokens after "
                f"{self.grid[0]}x{self.grid[1]} (height x width). It must give one grid for pictures of one size."
            )
        body = np.concatenate([labels[:, None] + 1, tokens.reshape(len(tokens), -1)], axis=1).astype("<u4")
        sums = np.array([[zlib.crc32(row.tobytes())] for row in body], "<u4")
        self.file.write(np.concatenate([body, sums], axis=1).tobytes())
        self.file.flush()
        self.done += len(tokens)

    def read(self) -> Iterator[np.ndarray]:
        """All records without their checksums, (n, 1 + views * h * w) uint32 at a time, up to the first bad one."""
        size = self._words * 4
        total = (self.file.seek(0, os.SEEK_END) - 8) // size
        self.file.seek(8)
        for first in range(0, total, _CHUNK):
            data = self.file.read(min(_CHUNK, total - first) * size)
            records = np.frombuffer(data, "<u4").reshape(-1, self._words)  # (n, words)
            good = [zlib.crc32(record[:-1].tobytes()) == record[-1] for record in records]
            if not all(good):
                yield records[: good.index(False), :-1]
                return
            yield records[:, :-1]


@torch.no_grad()
def _encode_rest(
    dataset: Dataset,
    encode: Callable[[Tensor], Tensor],
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
            pixels = to_pixels([sample.image for sample in samples])  # (B, 3, H, W)
            views = [pixels, pixels.flip(3)][: records.views]
            labels = np.array([-1 if sample.label is None else sample.label for sample in samples], np.int64)
            records.append(labels, np.stack([_checked(encode(view), len(view)) for view in views], axis=1))
            if progress:
                progress(records.done, len(dataset))


def _checked(tokens: Tensor, batch_size: int) -> np.ndarray:
    if tokens.ndim != 3 or len(tokens) != batch_size or tokens.is_floating_point() or int(tokens.min()) < 0:
        raise TokensError(
            f"The tokenizer gave {tokens.dtype} of shape {tuple(tokens.shape)} for {batch_size} pictures. "
            f"Tokens are whole numbers from 0, of shape ({batch_size}, h, w)."
        )
    return tokens.cpu().numpy()


def _finish(path: Path, records: _Records, rows: int) -> None:
    """Write what is used later: tokens as small as they go, labels, and last the note that says all is there."""
    highest = max(int(chunk[:, 1:].max()) for chunk in records.read())
    dtype = np.dtype("<u2" if highest < 2**16 else "<i4")
    length = records.grid[0] * records.grid[1]
    labels, checksum = [], 0
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("wb") as file:
        header = {"descr": dtype.str, "fortran_order": False, "shape": (rows, length)}
        np.lib.format.write_array_header_1_0(file, header)
        for chunk in records.read():
            data = chunk[:, 1:].astype(dtype).tobytes()
            checksum = zlib.crc32(data, checksum)
            file.write(data)
            labels.append(np.repeat(chunk[:, 0].astype(np.int64) - 1, records.views))
    os.replace(unfinished, path)
    joined = np.concatenate(labels)
    with unfinished.open("wb") as file:
        np.save(file, joined)
    os.replace(unfinished, path.with_suffix(".labels.npy"))
    unfinished.write_text(
        json.dumps({"crc32": zlib.crc32(joined.data, checksum), "grid": records.grid}), encoding="ascii"
    )
    os.replace(unfinished, path.with_suffix(".json"))


def _open(path: Path, rows: int) -> TokenSet | None:
    """The finished set, or None where something is missing or damaged."""
    try:
        note = json.loads(path.with_suffix(".json").read_text(encoding="ascii"))
        tokens = np.load(path, mmap_mode="r")
        labels = np.load(path.with_suffix(".labels.npy"))
        height, width = note["grid"]
        is_whole = (tokens.shape, labels.shape) == ((rows, height * width), (rows,))
        if is_whole and note["crc32"] == zlib.crc32(labels.data, zlib.crc32(tokens.data)):
            return TokenSet(tokens, labels, (height, width))
    except FileNotFoundError:
        return None
    except (OSError, EOFError, ValueError, LookupError, TypeError) as error:
        _log.debug("%s: %s", path, error)
    _log.warning("%s is damaged and will be made again.", path)
    return None
