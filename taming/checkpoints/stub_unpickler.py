"""Reading a pickled checkpoint that names more than tensors: everything else becomes an inert stub.

Nothing that a pickle names is imported. It can reach the few constructors below and stubs, all made for one reading,
so that it cannot leave a change behind either.
"""

from __future__ import annotations

import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

STORAGE_DTYPES = {
    **{"DoubleStorage": torch.float64, "FloatStorage": torch.float32, "HalfStorage": torch.float16},
    **{"BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32},
    **{"ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8, "BoolStorage": torch.bool},
}
LOCAL_HEADER_BYTES = 30  # of a zip entry, before its name
ENCRYPTED = 1  # among its flags


class Stub:
    """Stands for an object of a class that was not imported: it takes anything and keeps nothing."""

    def __new__(cls, *args: object, **kwargs: object) -> Stub:
        return object.__new__(cls)

    def __init__(self, *args: object, **kwargs: object) -> None:
        pass

    def __call__(self, *args: object, **kwargs: object) -> Stub:
        return self

    def __setstate__(self, state: object) -> None:
        pass

    def __setitem__(self, key: object, value: object) -> None:
        pass

    def append(self, item: object) -> None:
        pass

    def extend(self, items: object) -> None:
        pass

    def add(self, item: object) -> None:
        pass


class FixedTensor(Tensor):
    """A tensor that a pickle cannot set to other memory after it was checked. What is computed from it is plain."""

    __torch_function__ = torch._C._disabled_torch_function_impl  # pyright: ignore[reportAssignmentType]

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError("a tensor that is changed after it was made")


def load_inert(path: Path, data_pickle: bytes) -> object:
    """What the archive of `torch.save` at `path` holds, its tensors mapped to the file, all else stubs.

    `data_pickle` is the pickle in it. Raises what a damaged pickle can raise: it is a stack machine.
    """
    return InertUnpickler(path, data_pickle, find_data(path)).load()


class InertUnpickler(pickle.Unpickler):
    """Finds no global but the parts of a tensor."""

    def __init__(self, path: Path, data_pickle: bytes, offsets: dict[str, tuple[int, int]]) -> None:
        """Read `data_pickle`; `offsets` are those of the storages in the file at `path`, see `find_data`."""
        super().__init__(BytesIO(data_pickle), encoding="latin-1")
        size = path.stat().st_size
        storage = torch.UntypedStorage.from_file(os.fspath(path), shared=False, nbytes=size)
        self.file = torch.empty(0, dtype=torch.uint8).set_(storage, 0, (size,))  # pyright: ignore[reportCallIssue, reportArgumentType]
        self.offsets = offsets
        self.num_bytes = len(data_pickle)
        self.num_copied = 0
        self.storages: dict[tuple[str, torch.dtype], Tensor] = {}
        self.stubs: dict[str, type[Stub]] = {}

    def find_class(self, module: str, name: str) -> Any:
        full_name = f"{module}.{name}"
        if full_name == "collections.OrderedDict":
            return lambda items=(): OrderedDict(self.copied(items))
        if full_name == "torch._utils._rebuild_tensor_v2":
            return lambda *parts: rebuild_tensor(*parts)
        if full_name in ("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state"):
            return lambda data, *flags: data
        if full_name == "torch.Size":
            return lambda sizes: tuple(self.copied(sizes))
        if full_name not in self.stubs:
            self.stubs[full_name] = type(name, (Stub,), {"__module__": module})
        return self.stubs[full_name]

    def copied(self, items: Sequence[Any]) -> Sequence[Any]:
        """`items`, of which an honest pickle copies no more than it has written."""
        self.num_copied += len(items)
        if self.num_copied > self.num_bytes:
            raise pickle.UnpicklingError("one value is copied over and over")
        return items

    def persistent_load(self, pid: Any) -> Tensor:
        """The values of one storage, (N,)."""
        kind, storage_class, key, _, num_values = pid
        dtype = STORAGE_DTYPES.get(storage_class.__name__)
        if kind != "storage" or dtype is None:
            raise pickle.UnpicklingError(f"a {kind} of {storage_class.__name__}")
        offset, size = self.offsets[key]
        if not 0 <= num_values * dtype.itemsize <= size:
            raise pickle.UnpicklingError(f"storage {key} has {size} bytes, not {num_values} values")
        if (key, dtype) not in self.storages:
            values = self.file[offset : offset + size - size % dtype.itemsize]
            self.storages[key, dtype] = (values if offset % dtype.itemsize == 0 else values.clone()).view(dtype)
        return self.storages[key, dtype][:num_values].as_subclass(FixedTensor)


def rebuild_tensor(values: Tensor, offset: int, size: Sequence[int], stride: Sequence[int], *flags: object) -> Tensor:
    """A tensor of `size` whose values begin at `offset` of its storage `values`, (N,)."""
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    is_empty = 0 in size
    if min((offset, *size, *stride), default=0) < 0 or (not is_empty and last >= len(values)):
        raise pickle.UnpicklingError(f"a tensor of {tuple(size)} goes beyond its {len(values)} values")
    tensor = values.as_strided(tuple(size), tuple(stride), values.storage_offset() + offset)
    return tensor.as_subclass(FixedTensor)


def find_data(path: Path) -> dict[str, tuple[int, int]]:
    """Where in the archive the bytes of each storage lie: (offset, size) by its key."""
    offsets: dict[str, tuple[int, int]] = {}
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        for entry in archive.infolist():
            folder, _, key = entry.filename.rpartition("/")
            if folder.rpartition("/")[2] != "data":
                continue
            file.seek(entry.header_offset)
            header = file.read(LOCAL_HEADER_BYTES)
            name_size, extra_size = int.from_bytes(header[26:28], "little"), int.from_bytes(header[28:30], "little")
            if key in offsets:
                raise pickle.UnpicklingError(f"storage {key} is there twice")
            if entry.flag_bits & ENCRYPTED:
                raise pickle.UnpicklingError(f"storage {key} is encrypted")
            offsets[key] = (entry.header_offset + LOCAL_HEADER_BYTES + name_size + extra_size, entry.file_size)
    _check_apart(offsets, path.stat().st_size)
    return offsets


def _check_apart(offsets: dict[str, tuple[int, int]], file_size: int) -> None:
    """Raise UnpicklingError if the storages lie over each other or leave the file."""
    end = 0
    for key, (offset, size) in sorted(offsets.items(), key=lambda item: item[1]):
        if offset < end or offset + size > file_size:
            raise pickle.UnpicklingError(f"storage {key} does not lie where the archive says")
        end = offset + size
