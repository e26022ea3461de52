"""Making bad files: pickles that call something, archives and headers that lie."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from published import vqgan_weights


@dataclass(frozen=True)
class Hostile:
    """One bad file."""

    name: str  # file name, extension included
    make: Callable[[Path], bytes]  # from the path of the canary
    words: tuple[str, ...]  # what the message has to contain, besides the file name

    def write(self, folder: Path, canary: Path) -> Path:
        path = folder / self.name
        path.write_bytes(self.make(canary))
        return path


class Call:
    """Pickles as a call of `function` with `arguments`, made on loading."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.reduced = (function, arguments)

    def __reduce__(self):
        return self.reduced


def torch_bytes(content: object, legacy: bool = False) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


def torch_zip(data_pickle: bytes, *, compression: int = zipfile.ZIP_STORED, **entries: bytes) -> bytes:
    """The archive that `torch.save` writes, around a pickle of our own."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr("archive/data.pkl", data_pickle)
        archive.writestr("archive/version", "3\n")
        for name, content in entries.items():
            archive.writestr(f"archive/{name}", content)
    return buffer.getvalue()


def safetensors_bytes(header: object, data: bytes = b"", claimed_size: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if claimed_size is None else claimed_size) + text + data


def weights_bytes(weights: dict[str, Tensor], metadata: object = None) -> bytes:
    """A well-formed safetensors file; `metadata` goes under this pack's key."""
    text = metadata if isinstance(metadata, str) else json.dumps(metadata)
    return safetensors.torch.save(weights, metadata=None if metadata is None else {"taming": text})


def cut(content: bytes, share: float) -> bytes:
    return content[: int(len(content) * share)]


def global_bytes(module: str, name: str) -> bytes:
    """A checkpoint with a class among its callbacks; the module need not be installed to write it."""
    return torch_zip(b"\x80\x02}U\tcallbacks}c" + f"{module}\n{name}\n".encode() + b"K\x01ss.")


def nested_bytes(opening: bytes, wrap: bytes, as_key: bool) -> bytes:
    """A value nested a million deep; as a key, its hash overflows the stack of a careless parser."""
    value = opening + 1_000_000 * wrap
    return torch_zip(b"\x80\x02}" + (value + b"K\x01" if as_key else b"U\x01a" + value) + b"s.")


def replaced(key: str, tensor: Tensor) -> dict[str, Tensor]:
    return vqgan_weights() | {key: tensor}


def spoiled(value: float, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """A VQGAN with one bad number in one weight."""
    weights = {key: tensor.to(dtype) for key, tensor in vqgan_weights().items()}
    weights["decoder.conv_in.weight"].view(-1)[7] = value
    return weights


def overlapping_zip(_: Path) -> bytes:
    """Entries that all point at the same bytes, so that a small archive unpacks to a big one."""
    buffer = io.BytesIO(torch_zip(pickle.dumps({}, 2), data=bytes(100_000)))
    with zipfile.ZipFile(buffer, "a") as archive:
        entry = archive.getinfo("archive/data")
        archive.filelist.extend([entry] * 50)
        archive.writestr("archive/last", "")
    return buffer.getvalue()


def zip_of(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, b"")
    return buffer.getvalue()


def vqgan_metadata(**changes: object) -> dict[str, object]:
    """What this pack writes into a file with `vqgan_weights()`."""
    config = {
        **{"n_embed": 24, "embed_dim": 8, "ch": 32, "ch_mult": [1, 2], "num_res_blocks": 1},
        **{"attn_resolutions": [4], "resolution": 8, "z_channels": 16},
    }
    return {"format": 1, "model": "vqgan", "config": config | changes}


def transformer_metadata(first_stage: object = None, **changes: object) -> dict[str, object]:
    """What this pack writes into a file with `transformer_weights(masks=False)`."""
    config = {"vocab_size": 32, "block_size": 16, "n_layer": 2, "n_head": 4, "n_embd": 32, "grid": [4, 4]}
    return {"format": 1, "model": "transformer", "config": config | changes, "first_stage": first_stage}


def shell(canary: Path) -> tuple[str]:
    return (f"touch '{canary}'",)


def python(canary: Path) -> tuple[str]:
    return (f"open({str(canary)!r}, 'w').close()",)


def command(canary: Path) -> tuple[list[str]]:
    return (["touch", str(canary)],)


def code(function: object, make_arguments: Callable[[Path], tuple], legacy: bool = False) -> Callable[[Path], bytes]:
    """A checkpoint with real weights that calls `function` while it is loaded."""
    return lambda canary: torch_bytes(
        {"state_dict": vqgan_weights(), "callbacks": Call(function, *make_arguments(canary))}, legacy
    )


def fixed(content: bytes) -> Callable[[Path], bytes]:
    return lambda canary: content


def data_pickle(archive_bytes: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(archive_bytes)) as archive:
        return archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl")))
