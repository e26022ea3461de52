"""WebDataset shards, for sets too large to be a folder; needs the package `webdataset`."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ..errors import TamingError
from .decode import PICTURE_SUFFIXES, UNREADABLE_PICTURE, decode_picture
from .sample import Sample

SHUFFLE_BUFFER = 1000  # samples
_log = logging.getLogger(__name__)


def read_shards(shards: Sequence[Path], rng: np.random.Generator) -> Iterator[Sample]:
    """One pass through tar files in an order drawn from `rng`: shards as a whole, samples through a buffer.

    A sample is a picture with, if there are, a class number (`.cls`) and a caption (`.txt`). What cannot be read is
    left out and logged. To share the work, give each process shards of its own.

    Raises:
        TamingError: `webdataset` is not installed, or a shard is not a file on this machine.
    """
    try:
        from webdataset import filters, tariterators  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise TamingError("Shards are read with the package webdataset. Install it: pip install webdataset") from error
    for path in shards:  # webdataset would take other names for addresses, or for commands to run
        if not Path(path).is_file():
            raise TamingError(f"The shard {path} is not a file on this machine. Give paths of tar files.")
    order = [Path(shards[number]) for number in rng.permutation(len(shards))]
    files = tariterators.tar_file_expander(_opened(order), handler=_skip)
    shuffled = filters.shuffle(SHUFFLE_BUFFER, seed=int(rng.integers(2**62)))
    for parts in shuffled(tariterators.group_by_keys(files, handler=_skip)):
        try:
            label = int(parts["cls"]) if "cls" in parts else None
            caption = parts["txt"].decode("utf-8").strip() if "txt" in parts else None
            picture = [content for kind, content in parts.items() if f".{kind}" in PICTURE_SUFFIXES][0]
            sample = Sample(decode_picture(io.BytesIO(picture)), label, caption)
        except UNREADABLE_PICTURE as error:
            _log.warning("%s in %s is left out: %r", parts["__key__"], parts["__url__"], error)
            continue
        yield sample


def _opened(paths: Sequence[Path]) -> Iterator[dict[str, object]]:
    for path in paths:
        with path.open("rb") as stream:
            yield {"url": path.name, "stream": stream}


def _skip(error: Exception) -> bool:
    _log.warning("Part of a shard is left out: %s", error)
    return True
