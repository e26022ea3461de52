"""What is in many files, as one hash that stays when they are moved, copied or unpacked again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

_NUM_THREADS = 8
_BLOCK = 64  # files between two looks at whether to go on
_WHOLE_BYTES = 2**30  # of all files together; beyond, only the ends of each are read, which takes as long as to open it
_END_BYTES = 16 * 2**10


@dataclass(frozen=True)
class Content:
    """A file, or a part of one."""

    path: Path
    num_bytes: int
    offset: int = 0


def contents_hash(files: Sequence[Content], check: Callable[[], None], told: Iterable[object] = ()) -> str:
    """A hash of what `files` hold, in their order, and of what else is `told`; neither names nor times count.

    `check` is called again and again meanwhile; what it raises ends that.
    """
    digest = hashlib.sha256(repr(tuple(told)).encode("utf-8", "backslashreplace"))
    is_whole = sum(file.num_bytes for file in files) <= _WHOLE_BYTES
    with ThreadPoolExecutor(_NUM_THREADS) as pool:
        for first in range(0, len(files), _BLOCK):
            check()
            for part in pool.map(lambda file: _hash(file, is_whole), files[first : first + _BLOCK]):
                digest.update(part)
    return digest.hexdigest()


def _hash(file: Content, is_whole: bool) -> bytes:
    digest = hashlib.sha256(str(file.num_bytes).encode())
    try:
        with file.path.open("rb") as stream:
            stream.seek(file.offset)
            if is_whole or file.num_bytes <= 2 * _END_BYTES:
                digest.update(stream.read(file.num_bytes))
            else:
                digest.update(stream.read(_END_BYTES))
                stream.seek(file.offset + file.num_bytes - _END_BYTES)
                digest.update(stream.read(_END_BYTES))
    except OSError:  # it was there a moment ago; whoever decodes it says what is wrong
        digest.update(b"unreadable")
    return digest.digest()
