"""Reading what `torch.save` wrote before PyTorch 1.6 where it names more than tensors; see `inert`.

Such a file is five pickles (a magic number, a version, facts of the machine, the content, the keys of the storages)
and then, for each key, the number of values (int64) and the values.
"""

from __future__ import annotations

import pickle
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .stub_unpickler import STORAGE_DTYPES, FixedTensor, InertUnpickler, Stub

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
VERSION = 1001
PROTOCOLS = range(2, pickle.HIGHEST_PROTOCOL + 1)
COUNT_BYTES = 8  # of the number of values before each storage


def is_legacy(pickles: bytes) -> bool:
    """Whether `pickles`, the beginning of a file, are those of `torch.save` and not of some other program."""
    return pickles.startswith(tuple(pickle.dumps(MAGIC_NUMBER, protocol) for protocol in PROTOCOLS))


def load_legacy(path: Path, pickles: bytes) -> object:
    """What the file at `path` holds, its tensors mapped to the file where they are aligned, all else stubs.

    `pickles` is its beginning, with all of them. Raises what a damaged pickle can raise.
    """
    file = BytesIO(pickles)
    magic_number, version, machine = (_PlainUnpickler(file).load() for _ in range(3))
    if (magic_number, version) != (MAGIC_NUMBER, VERSION):
        raise pickle.UnpicklingError("its header is not that of torch.save")
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise pickle.UnpicklingError("it was written on a big-endian machine")
    start = file.tell()
    storages = _StorageUnpickler(file)
    storages.load()
    end = file.tell()
    keys = _PlainUnpickler(file).load()
    offsets = _find_storages(path, file.tell(), keys, storages.dtypes)
    return _LegacyUnpickler(path, pickles[start:end], offsets).load()


class _PlainUnpickler(pickle.Unpickler):
    """Reads numbers, texts, lists and mappings of them, and nothing that is named."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"{module}.{name} where plain values are expected")


class _StorageUnpickler(pickle.Unpickler):
    """Finds out which storages the content refers to; the values of everything are stubs."""

    def __init__(self, file: BytesIO) -> None:
        super().__init__(file, encoding="latin-1")
        self.dtypes: dict[str, torch.dtype] = {}
        self.stubs: dict[str, type[Stub]] = {}

    def find_class(self, module: str, name: str) -> Any:
        if name not in self.stubs:
            self.stubs[name] = type(name, (Stub,), {})
        return self.stubs[name]

    def persistent_load(self, pid: Any) -> object:
        if pid[0] == "module":  # a class with its source
            return pid[1]
        self.dtypes[pid[2]] = _dtype_of(pid)
        return Stub()


class _LegacyUnpickler(InertUnpickler):
    """Finds no global but the parts of a tensor, and storages by the longer references of these files."""

    def persistent_load(self, pid: Any) -> Any:
        if pid[0] == "module":
            return pid[1]
        values = super().persistent_load(pid[:5])
        view = pid[5]  # None, or (key, offset, number of values) of a part
        return values if view is None else _part(values, view[1], view[2])


def _part(values: Tensor, offset: int, num_values: int) -> Tensor:
    if not 0 <= offset <= offset + num_values <= len(values):
        raise pickle.UnpicklingError(f"a view of {num_values} values goes beyond its {len(values)} values")
    return values[offset : offset + num_values].as_subclass(FixedTensor)


def _dtype_of(pid: Any) -> torch.dtype:
    dtype = STORAGE_DTYPES.get(pid[1].__name__)
    if dtype is None:
        raise pickle.UnpicklingError(f"a {pid[0]} of {pid[1].__name__}")
    return dtype


def _find_storages(path: Path, start: int, keys: Any, dtypes: dict[str, torch.dtype]) -> dict[str, tuple[int, int]]:
    """Where in the file the values of each of `keys` lie, the first after `start`: (offset, size) in bytes."""
    offsets: dict[str, tuple[int, int]] = {}
    file_size, end = path.stat().st_size, start
    with path.open("rb") as file:
        for key in keys:
            file.seek(end)
            count = int.from_bytes(file.read(COUNT_BYTES), "little", signed=True)
            size = count * dtypes[key].itemsize
            if key in offsets or size < 0 or end + COUNT_BYTES + size > file_size:
                raise pickle.UnpicklingError(f"storage {key} does not lie where the file says")
            offsets[key] = (end + COUNT_BYTES, size)
            end += COUNT_BYTES + size
    return offsets
