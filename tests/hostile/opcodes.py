"""Checkpoints of pickles written opcode by opcode, made to fool or exhaust a reader that makes stubs of the unknown.

Nothing of them may ever be imported or called: a reader either takes the weights out or refuses in words.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path

from .forge import Hostile, fixed, torch_zip

MAPPING, NONE, NO_ARGUMENTS, CALL, CHANGE, STOP = b"}", b"N", b")", b"R", b"b", b"."
OBJECT = b"csomebody.project\nTrainer\n"  # a class that is not installed: the file goes to the reader that makes stubs
COPIES = "copies one value over and over"
STORAGE_BYTES = 16  # of the one storage that every file has: four float32


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value: int) -> bytes:
    return b"\x8a\x10" + value.to_bytes(16, "little", signed=True)


def numbers(values: Sequence[int]) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


def storage(kind: str = "storage", of: str = "FloatStorage", key: bytes = b"", count: bytes = b"") -> bytes:
    """A reference to a storage by its persistent id."""
    values = text(kind) + b"ctorch\n" + of.encode() + b"\n" + (key or text("0")) + text("cpu") + (count or number(4))
    return b"(" + values + b"tQ"


def tensor(
    values: bytes = b"", offset: int = 0, size: Sequence[int] = (4,), stride: Sequence[int] = (1,), rest: bytes = b""
) -> bytes:
    arguments = (values or storage()) + number(offset) + numbers(size) + numbers(stride) + b"\x89" + MAPPING
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + b"t" + CALL + rest


def mapping(*items: tuple[str, bytes]) -> bytes:
    return MAPPING + b"(" + b"".join(text(key) + value for key, value in items) + b"u"


def checkpoint(weight: bytes = b"", other: bytes = b"", stubs: bool = True) -> bytes:
    """A file with one weight, something `other` beside it, and with `stubs` an object that is not installed."""
    items = [("w", weight or tensor()), ("other", other or NONE)]
    items += [("trainer", OBJECT + NO_ARGUMENTS + CALL)] if stubs else []
    return torch_zip(b"\x80\x02" + mapping(*items) + STOP, **{"data/0": bytes(STORAGE_BYTES)})


def copied(function: str, value: bytes, stubs: bool) -> bytes:
    """`function` called on the same large value a thousand times."""
    module, _, name = function.rpartition(".")
    calls = f"c{module}\n{name}\n".encode() + b"h\x05\x85" + CALL
    return checkpoint(other=b"(" + value + b"q\x05" + 1000 * calls + b"t", stubs=stubs)


def instantiated(function: str, value: bytes) -> bytes:
    module, _, name = function.rpartition(".")
    return checkpoint(other=b"(" + value + b"q\x05" + 1000 * f"(h\x05i{module}\n{name}\n".encode() + b"t")


def pairs(count: int) -> bytes:
    return b"](" + b"".join(b"J" + struct.pack("<i", i) + b"N\x86" for i in range(count)) + b"e"


def changed(value: bytes, state: bytes) -> bytes:
    return value + state + CHANGE


def entry_twice(_: Path) -> bytes:
    """Two entries for one storage, the second of which is not what the first was."""
    buffer = io.BytesIO(checkpoint())
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("other/data/0", bytes(STORAGE_BYTES))
    return buffer.getvalue()


def overlapping(_: Path) -> bytes:
    """Two storages in the same bytes."""
    buffer = io.BytesIO(checkpoint(b"", tensor(storage(key=text("1")))))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("archive/data/1", bytes(STORAGE_BYTES))
        archive.getinfo("archive/data/1").header_offset = archive.getinfo("archive/data/0").header_offset
    return buffer.getvalue()


def central_field(offset: int, value: int, size: int = 4) -> bytes:
    """A file whose central directory says something else about the storage, `offset` bytes into its record."""
    content = bytearray(checkpoint())
    place = content.rindex(b"PK\x01\x02", 0, content.rindex(b"archive/data/0"))
    content[place + offset : place + offset + size] = value.to_bytes(size, "little")
    return bytes(content)


def local_names(length: int) -> bytes:
    """A file whose storage has a local header that claims a name of `length` bytes, which moves where it begins."""
    content = bytearray(checkpoint())
    place = content.rindex(b"PK\x03\x04", 0, content.index(b"archive/data/0"))
    content[place + 26 : place + 28] = length.to_bytes(2, "little")
    return bytes(content)


BEYOND = changed(tensor(), b"(" + storage() + number(0) + numbers([10**9]) + numbers([1]) + b"t")
TORCH_SIZE, ORDERED = "torch.Size", "collections.OrderedDict"
AGAIN = "truncated or damaged"
PICKLES = [
    *(
        Hostile(f"extension_{n}.ckpt", fixed(checkpoint(other=code + NO_ARGUMENTS + CALL)), (AGAIN, "extension code"))
        for n, code in enumerate((b"\x82\x01", b"\x83\x01\x00", b"\x84\x01\x00\x00\x00"))
    ),
    Hostile("id_text.ckpt", fixed(checkpoint(tensor(b"P0\n"))), (AGAIN,)),
    Hostile("id_none.ckpt", fixed(checkpoint(tensor(NONE + b"Q"))), (AGAIN,)),
    Hostile("id_short.ckpt", fixed(checkpoint(tensor(b"(" + text("storage") + b"tQ"))), (AGAIN,)),
    Hostile("id_module.ckpt", fixed(checkpoint(tensor(storage("module")))), (AGAIN, "a module of FloatStorage")),
    Hostile("id_class.ckpt", fixed(checkpoint(tensor(storage(of="ProcessStorage")))), (AGAIN, "ProcessStorage")),
    Hostile("id_list.ckpt", fixed(checkpoint(tensor(storage(key=b"]")))), (AGAIN,)),
    Hostile("id_path.ckpt", fixed(checkpoint(tensor(storage(key=text("../../secret"))))), (AGAIN, "../../secret")),
    Hostile("id_large.ckpt", fixed(checkpoint(tensor(storage(count=number(2**40))))), (AGAIN, "has 16 bytes")),
    Hostile("id_negative.ckpt", fixed(checkpoint(tensor(storage(count=number(-4))))), (AGAIN, "-4 values")),
    Hostile("id_word.ckpt", fixed(checkpoint(tensor(storage(count=text("4"))))), (AGAIN,)),
    Hostile("far.ckpt", fixed(checkpoint(tensor(offset=2**70))), (AGAIN, "goes beyond its 4 values")),
    Hostile("wide.ckpt", fixed(checkpoint(tensor(size=(2**62, 4), stride=(0, 0)))), (AGAIN, "overflow")),
    Hostile("expanded.ckpt", fixed(checkpoint(tensor(size=(10**11,), stride=(0,)))), ("is not honest", "claim")),
    Hostile("uneven.ckpt", fixed(checkpoint(tensor(size=(2, 2)))), (AGAIN,)),
    Hostile("set_beyond.ckpt", fixed(checkpoint(BEYOND)), (AGAIN, "changed after it was made")),
    Hostile("set_beyond_plain.ckpt", fixed(checkpoint(BEYOND, stubs=False)), (AGAIN,)),
    Hostile("change_class.ckpt", fixed(checkpoint(other=changed(OBJECT, mapping(("__call__", OBJECT))))), (AGAIN,)),
    Hostile(
        "change_function.ckpt",
        fixed(checkpoint(other=changed(b"ctorch\nSize\n", NONE + mapping(("__code__", OBJECT)) + b"\x86"))),
        (AGAIN, "__code__"),
    ),
    *(
        Hostile(f"copies_{name}_{'stubs' if stubs else 'plain'}.ckpt", fixed(copied(function, value, stubs)), (COPIES,))
        for stubs in (True, False)
        for name, function, value in (
            ("size", TORCH_SIZE, b"B" + struct.pack("<I", 10**6) + bytes(10**6)),
            ("mapping", ORDERED, pairs(10_000)),
            ("set", "builtins.set", pairs(10_000)),
            ("counter", "collections.Counter", pairs(10_000)),
            ("encode", "_codecs.encode", text(1_000_000 * "a")),
        )
    ),
    Hostile("instances.ckpt", fixed(instantiated(ORDERED, pairs(10_000))), (AGAIN, "over and over")),
    Hostile("second_size.ckpt", fixed(central_field(24, 2**31)), ("compressed archive", "not unpacked")),
    Hostile("entry_twice.ckpt", entry_twice, (AGAIN, "twice")),
    Hostile("shifted.ckpt", fixed(local_names(60_000)), (AGAIN,)),
    Hostile("header_elsewhere.ckpt", fixed(central_field(42, 1)), (AGAIN,)),
    Hostile("zip64.ckpt", fixed(central_field(42, 0xFFFFFFFF)), (AGAIN,)),
    Hostile("encrypted.ckpt", fixed(central_field(8, 1, 2)), (AGAIN, "encrypted")),
    Hostile("overlapping.ckpt", overlapping, (AGAIN, "does not lie where")),
]
