"""Files that are damaged, mislabelled or made to do harm, each with words that the refusal has to contain.

Nothing of `taming` is imported, so that tests through a running host can use it too. Every file that tries to run
code would create the file `canary`; no test may ever find it.
"""

from __future__ import annotations

import builtins
import io
import json
import os
import pickle
import random
import struct
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from published import prefixed, transformer_weights, vqgan_weights


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


RUNS = "contains code that would have to run"
STATE = "holds more than weights"
AGAIN = "ownload it again"
SYSTEM = f"{os.system.__module__}.system"

CODE = [
    Hostile("os_system.ckpt", code(os.system, shell), (RUNS, SYSTEM)),
    Hostile("os_system_before_torch_1_6.ckpt", code(os.system, shell, legacy=True), (RUNS, SYSTEM)),
    Hostile("os_system.safetensors", code(os.system, shell), (RUNS, SYSTEM)),
    Hostile("bare.pt", lambda canary: pickle.dumps(Call(os.system, *shell(canary))), (RUNS, SYSTEM)),
    Hostile("bare_2.pt", lambda canary: pickle.dumps(Call(os.system, *shell(canary)), 2), (RUNS, SYSTEM)),
    Hostile("eval.ckpt", code(builtins.eval, python), (RUNS, "eval")),
    Hostile("exec.ckpt", code(builtins.exec, python), (RUNS, "exec")),
    Hostile("open.pth", code(open, lambda canary: (str(canary), "w")), (RUNS, "open")),
    Hostile("popen.pth", code(subprocess.Popen, command), (RUNS, "Popen")),
    Hostile("getattr.ckpt", code(getattr, lambda canary: ({}, "clear")), (RUNS, "getattr")),
    Hostile("import.ckpt", code(__import__, lambda canary: ("this",)), (RUNS, "__import__")),
    Hostile("torch_load.ckpt", code(torch.load, lambda canary: (str(canary),)), (STATE, "torch.serialization.load")),
]
TRAINING_STATE = [
    Hostile(
        "lightning.ckpt",
        fixed(global_bytes("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint")),
        (STATE, "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint", "safetensors"),
    ),
    Hostile("omegaconf.ckpt", fixed(global_bytes("omegaconf.dictconfig", "DictConfig")), (STATE, "omegaconf")),
    Hostile("module.pkl", lambda _: torch_bytes(torch.nn.Linear(2, 2)), (STATE, "torch.nn.modules.linear.Linear")),
]
DAMAGED = [
    Hostile("empty.ckpt", fixed(b""), ("is empty", AGAIN)),
    Hostile("zeros.ckpt", fixed(bytes(4096)), ("zeros only", "interrupted download")),
    Hostile("noise.ckpt", lambda _: b"\x07" + random.Random(0).randbytes(4096), ("neither safetensors nor",)),
    Hostile("cut_zip.ckpt", lambda _: cut(torch_bytes(vqgan_weights()), 0.6), ("truncated", AGAIN)),
    Hostile("cut_old.ckpt", lambda _: cut(torch_bytes(vqgan_weights(), legacy=True), 0.6), ("truncated", AGAIN)),
    Hostile("cut_pickle.ckpt", lambda _: cut(torch_bytes({}, legacy=True), 0.5), ("truncated", AGAIN)),
    Hostile("cut_data.safetensors", lambda _: cut(weights_bytes(vqgan_weights()), 0.6), ("damaged", AGAIN)),
    Hostile("cut_header.safetensors", lambda _: weights_bytes(vqgan_weights())[:300], ("truncated", AGAIN)),
    Hostile("bad_pickle.ckpt", fixed(torch_zip(b"\x80\x02}q\x00(X\x05\x00\x00\x00ab")), ("damaged", AGAIN)),
    Hostile("no_storage.ckpt", lambda _: torch_zip(_data_pickle(torch_bytes(vqgan_weights()))), ("damaged", AGAIN)),
]
MISLABELLED = [
    Hostile("picture.ckpt", fixed(b"\x89PNG\r\n\x1a\n" + bytes(64)), ("looks like a PNG image",)),
    Hostile("photo.safetensors", fixed(b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(64)), ("looks like a JPEG image",)),
    Hostile("page.ckpt", fixed(b"\n<!DOCTYPE html><html><title>Log in</title>"), ("HTML page", "login")),
    Hostile("page.safetensors", fixed(b"<html><body>404</body></html>"), ("HTML page", "error page")),
    Hostile("answer.ckpt", fixed(b'{"error": "not found"}'), ("neither safetensors nor",)),
    Hostile("pointer.ckpt", fixed(b"version https://git-lfs.github.com/spec/v1\n"), ("Git LFS pointer",)),
    Hostile("packed.ckpt", fixed(b"\x1f\x8b\x08" + bytes(64)), ("gzip archive",)),
    Hostile("photos.ckpt", fixed(zip_of("photos/one.jpg")), ("a zip archive, not a PyTorch checkpoint",)),
    Hostile("script.pt", fixed(zip_of("archive/data.pkl", "archive/constants.pkl")), ("TorchScript program",)),
]
LYING = [
    Hostile(
        "two_pickles.ckpt", fixed(zip_of("a/data.pkl", "a/DATA.PKL")), ("a zip archive, not a PyTorch checkpoint",)
    ),
    Hostile(
        "bomb.ckpt",
        lambda _: torch_zip(pickle.dumps({}, 2), compression=zipfile.ZIP_DEFLATED, data=bytes(20_000_000)),
        ("compressed archive", "not unpacked"),
    ),
    Hostile("overlapping_zip.ckpt", overlapping_zip, ("compressed archive", "not unpacked")),
    Hostile("deep_key.ckpt", lambda _: nested_bytes(b")", b"\x85", as_key=True), ("200 deep",)),
    Hostile("deep_value.ckpt", lambda _: nested_bytes(b")", b"\x85", as_key=False), ("200 deep",)),
    Hostile(
        "expanded.ckpt", lambda _: torch_bytes({"a": torch.zeros(1).expand(10**12)}), ("not honest", "4000000000000")
    ),
    Hostile("huge_header.safetensors", fixed(safetensors_bytes({}, claimed_size=2**63)), ("claims", str(2**63))),
    Hostile("long_header.safetensors", fixed(safetensors_bytes({}, claimed_size=500)), ("claims 500 bytes",)),
    Hostile("not_json.safetensors", fixed(safetensors_bytes(b'{"a": ')), ("damaged",)),
    Hostile("not_text.safetensors", fixed(safetensors_bytes(b'{"\xff\xfe": 1}')), ("damaged",)),
    Hostile(
        "beyond.safetensors",
        fixed(safetensors_bytes({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}, bytes(8))),
        ("damaged",),
    ),
    Hostile(
        "overlap.safetensors",
        fixed(
            safetensors_bytes(
                {
                    "a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]},
                    "b": {"dtype": "F32", "shape": [4], "data_offsets": [8, 24]},
                },
                bytes(24),
            )
        ),
        ("damaged",),
    ),
    Hostile(
        "shape.safetensors",
        fixed(safetensors_bytes({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 16]}}, bytes(16))),
        ("damaged",),
    ),
    Hostile(
        "overflow.safetensors",
        fixed(safetensors_bytes({"a": {"dtype": "F32", "shape": [2**62, 8], "data_offsets": [0, 0]}})),
        ("damaged",),
    ),
    Hostile(
        "long_name.safetensors",
        fixed(safetensors_bytes({10_000 * "a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 8]}}, bytes(8))),
        ("damaged",),
    ),
    Hostile("nothing.safetensors", fixed(safetensors_bytes({})), ("holds no weights",)),
]
NO_WEIGHTS = [
    Hostile("empty_dict.ckpt", lambda _: torch_bytes({}), ("holds no weights",)),
    Hostile("list.ckpt", lambda _: torch_bytes([torch.zeros(2)]), ("holds no weights", "list")),
    Hostile("tensor.ckpt", lambda _: torch_bytes(torch.zeros(2)), ("holds no weights", "Tensor")),
    Hostile("numbers.ckpt", lambda _: torch_bytes({1: torch.zeros(2), 2: 3}), ("holds no weights",)),
    Hostile("optimizer.ckpt", lambda _: torch_bytes({"epoch": 1, "optimizer_states": []}), ("holds no weights",)),
    Hostile("sparse.ckpt", lambda _: torch_bytes({"a": torch.eye(3).to_sparse()}), ("not supported", "sparse")),
    Hostile("abstract.ckpt", lambda _: torch_bytes({"a": torch.zeros(3, device="meta")}), ("not supported", "meta")),
]
UNREADABLE = [*CODE, *TRAINING_STATE, *DAMAGED, *MISLABELLED, *LYING, *NO_WEIGHTS]

DIVERGED = "not finite"
NOT_A_VQGAN = [  # for the VQGAN loader
    Hostile("nan.safetensors", lambda _: weights_bytes(spoiled(float("nan"))), ("decoder.conv_in.weight", DIVERGED)),
    Hostile("nan.ckpt", lambda _: torch_bytes(spoiled(float("nan"))), ("decoder.conv_in.weight", DIVERGED)),
    Hostile(
        "nan_half.safetensors",
        lambda _: weights_bytes(spoiled(float("nan"), torch.float16)),
        ("decoder.conv_in.weight", DIVERGED),
    ),
    Hostile("inf.safetensors", lambda _: weights_bytes(spoiled(float("-inf"))), ("decoder.conv_in.weight", DIVERGED)),
    Hostile(
        "integers.safetensors",
        lambda _: weights_bytes(replaced("quant_conv.bias", torch.zeros(8, dtype=torch.int64))),
        ("quant_conv.bias", "int64"),
    ),
    Hostile(
        "shape.safetensors",
        lambda _: weights_bytes(replaced("decoder.norm_out.weight", torch.zeros(64))),
        ("decoder.norm_out.weight has (64,) and needs (32,)",),
    ),
    Hostile(
        "zero_side.safetensors",
        lambda _: weights_bytes(replaced("encoder.conv_in.weight", torch.zeros(0, 3, 3, 3))),
        ("encoder.conv_in.weight", "(0, 3, 3, 3)"),
    ),
    Hostile(
        "flat.safetensors",
        lambda _: weights_bytes(replaced("encoder.conv_in.weight", torch.zeros(32))),
        ("encoder.conv_in.weight", "4 sides are needed"),
    ),
    Hostile(
        "narrow.safetensors", lambda _: weights_bytes(vqgan_weights(ch=24)), ("24, 48 channels", "multiples of 32")
    ),
    Hostile(
        "missing.safetensors",
        lambda _: weights_bytes({k: v for k, v in vqgan_weights().items() if k != "decoder.mid.block_1.conv1.weight"}),
        ("lacks 1 weight", "decoder.mid.block_1.conv1.weight"),
    ),
    Hostile(
        "no_decoder.safetensors",
        lambda _: weights_bytes({k: v for k, v in vqgan_weights().items() if not k.startswith("decoder.")}),
        ("lacks the weight decoder.conv_out.weight",),
    ),
    Hostile(
        "extra.safetensors",
        lambda _: weights_bytes(replaced("encoder.extra.weight", torch.zeros(1))),
        ("1 weight that the model does not have", "encoder.extra.weight"),
    ),
    Hostile(
        "levels.safetensors",
        lambda _: weights_bytes(
            vqgan_weights() | {f"encoder.down.{i}.block.0.conv1.weight": torch.zeros(1) for i in range(2, 500)}
        ),
        ("500 parts",),
    ),
    Hostile(
        "escape.safetensors",
        lambda _: weights_bytes(replaced("encoder.\x1b[2Jgone", torch.zeros(1))),
        (r"encoder.\x1b[2Jgone",),
    ),
    Hostile(
        "transformer.safetensors",
        lambda _: weights_bytes(transformer_weights()),
        ("holds no VQGAN", "Load Transformer node"),
    ),
    Hostile(
        "vae.safetensors",
        lambda _: weights_bytes({k: v for k, v in vqgan_weights().items() if not k.startswith("quantize.")}),
        ("no codebook", "Load VAE node"),
    ),
    Hostile(
        "diffusers.safetensors",
        lambda _: weights_bytes({"encoder.down_blocks.0.resnets.0.conv1.weight": torch.zeros(1)}),
        ("diffusers layout",),
    ),
    Hostile(
        "llamagen.pt",
        lambda _: torch_bytes({"model": {"encoder.conv_blocks.0.res.0.conv1.weight": torch.zeros(1)}}),
        ("LlamaGen",),
    ),
    Hostile(
        "other.safetensors", lambda _: weights_bytes({"fc.weight": torch.zeros(1)}), ("is not a VQGAN", "fc.weight")
    ),
    Hostile(
        "remapped.safetensors",
        lambda _: weights_bytes(replaced("quantize.used", torch.zeros(4, dtype=torch.int64))),
        ("remapped codebook",),
    ),
    Hostile("json.safetensors", lambda _: weights_bytes(vqgan_weights(), "{not json"), ("not valid JSON",)),
    Hostile("deep_json.safetensors", lambda _: weights_bytes(vqgan_weights(), 100_000 * "["), ("not valid JSON",)),
    Hostile("list.safetensors", lambda _: weights_bytes(vqgan_weights(), [1, 2]), ("no format number",)),
    Hostile("future.safetensors", lambda _: weights_bytes(vqgan_weights(), {"format": 99}), ("format 99", "update")),
    Hostile(
        "model.safetensors",
        lambda _: weights_bytes(vqgan_weights(), vqgan_metadata() | {"model": "os.system"}),
        ("names the model 'os.system'",),
    ),
    Hostile(
        "typo.safetensors",
        lambda _: weights_bytes(vqgan_weights(), vqgan_metadata(n_embd=24)),
        ("unknown name 'n_embd'", "did you mean n_embed"),
    ),
    Hostile(
        "text.safetensors",
        lambda _: weights_bytes(vqgan_weights(), vqgan_metadata(ch="32")),
        ("ch: expected a whole number", "'32'"),
    ),
    Hostile(
        "liar.safetensors",
        lambda _: weights_bytes(vqgan_weights(), vqgan_metadata(n_embed=1_000_000_000)),
        ("n_embed 1000000000, the weights have 24",),
    ),
]
NOT_A_TRANSFORMER = [  # for the transformer loader
    Hostile("vqgan.safetensors", lambda _: weights_bytes(vqgan_weights()), ("holds no transformer", "Load VQGAN node")),
    Hostile(
        "vqgan_wrapped.ckpt",
        lambda _: torch_bytes({"state_dict": prefixed("first_stage_model.", vqgan_weights())}),
        ("holds no transformer", "Load VQGAN node"),
    ),
    Hostile("unknown.safetensors", lambda _: weights_bytes(transformer_weights()), ("conditioned on", "YAML")),
    Hostile(
        "coordinates.safetensors",
        lambda _: weights_bytes(transformer_weights(block_size=512)),
        ("512 tokens", "coordinates", "not supported"),
    ),
    Hostile("odd.safetensors", lambda _: weights_bytes(transformer_weights(n_embd=40)), ("n_head", "width 40")),
    Hostile(
        "gpt2.safetensors", lambda _: weights_bytes({"transformer.wte.weight": torch.zeros(1)}), ("GPT-2 language",)
    ),
    Hostile(
        "segmentation.ckpt",
        lambda _: torch_bytes(
            prefixed("transformer.", transformer_weights()) | prefixed("cond_stage_model.", vqgan_weights())
        ),
        ("conditioned on images", "does not support"),
    ),
    Hostile(
        "permuted.ckpt",
        lambda _: torch_bytes(
            prefixed("transformer.", transformer_weights()) | {"permuter.forward_shuffle_idx": torch.arange(4)}
        ),
        ("permuted order",),
    ),
    Hostile(
        "heads.safetensors",
        lambda _: weights_bytes(transformer_weights(masks=False), transformer_metadata(n_head=5)),
        ("n_head=5",),
    ),
    Hostile(
        "no_heads.safetensors",
        lambda _: weights_bytes(transformer_weights(masks=False), transformer_metadata(n_head=0)),
        ("n_head: expected a whole number of 1 or more",),
    ),
    Hostile(
        "layers.safetensors",
        lambda _: weights_bytes(transformer_weights(masks=False), transformer_metadata(n_layer=10**9)),
        ("n_layer 1000000000, the weights have 2",),
    ),
    Hostile(
        "grid.safetensors",
        lambda _: weights_bytes(transformer_weights(masks=False), transformer_metadata(grid=[64, 64])),
        ("64 x 64", "block_size 16"),
    ),
    Hostile(
        "start.safetensors",
        lambda _: weights_bytes(transformer_weights(masks=False), transformer_metadata(condition={"sos_token": 32})),
        ("sos_token 32", "vocab_size 32"),
    ),
    *(
        Hostile(
            f"stage_{i}.safetensors",
            lambda _, file=file: weights_bytes(
                transformer_weights(masks=False), transformer_metadata({"file": file, "codebook": "00"})
            ),
            ("not a bare file name",),
        )
        for i, file in enumerate(("../secret.safetensors", "/etc/passwd", "a\\b.ckpt", "C:x.ckpt", "..", "", "a\0b"))
    ),
    Hostile(
        "lonely.safetensors",
        lambda _: weights_bytes(
            transformer_weights(masks=False), transformer_metadata({"file": "tokenizer.ckpt", "codebook": "00"})
        ),
        ("tokenizer.ckpt", "not beside it"),
    ),
]

TARGET = "model:\n  target: {}\n  params: {{}}\n"
YAML = [  # beside a good VQGAN; names of the files are without their stem
    Hostile(".yaml", lambda canary: f'!!python/object/apply:os.system ["touch {canary}"]'.encode(), ("plain YAML",)),
    Hostile(".yml", lambda canary: f'a: !!python/object/new:os.system ["touch {canary}"]'.encode(), ("plain YAML",)),
    Hostile(".yaml", fixed(b"a: !!python/name:os.system"), ("plain YAML",)),
    Hostile(".yaml", fixed(b"a: !!python/module:antigravity"), ("plain YAML",)),
    Hostile(".yaml", fixed(TARGET.format("os.system").encode()), ("unknown target 'os.system'", "never imported")),
    Hostile(".yaml", fixed(TARGET.format("taming.models.vqgan.VQGAN").encode()), ("known here are", "VQModel")),
    Hostile(".yaml", fixed(TARGET.format("[1, 2]").encode()), ("unknown target [1, 2]",)),
    Hostile(".yaml", fixed(b"model:\n  target: ${oc.env:HOME}\n"), ("interpolations",)),
    Hostile(
        ".yaml",
        fixed(b"a: &a [1,1]\n" + b"".join(b"%c: &%c [*%c,*%c]\n" % (c, c, c - 1, c - 1) for c in range(98, 122))),
        ("uses aliases",),
    ),
    Hostile(".yaml", fixed(b"a: &a [*a]"), ("uses aliases",)),
    Hostile(".yaml", fixed(b"[" * 30_000), ("deep",)),
    Hostile(".yaml", fixed(b"{a: " * 10_000), ("deep",)),
    Hostile(".yaml", fixed(b"- " * 30_000), ("deep",)),
    Hostile(".yaml", fixed(b"a: " + b"9" * 20_000), ("plain YAML",)),
    Hostile(".yaml", fixed(b"a: 1\n" * 100_000), ("larger than",)),
    Hostile(".yaml", fixed(b"a: 1\na: 2\n"), ("plain YAML", "duplicate")),
    Hostile(".yaml", fixed(b"a: [1\n"), ("plain YAML",)),
    Hostile(".yaml", fixed(b'a: "\\x24{oc.env:HOME}"'), ("interpolations",)),
    Hostile(".yaml", fixed(b"a: ${b\n"), ("interpolations",)),
    Hostile(".yaml", fixed(b"\x89PNG\r\n\x1a\n\xff\xfe"), ("not a text file",)),
    Hostile(".yaml", fixed(b"a: \0"), ("plain YAML",)),
    Hostile(".yaml", fixed(b""), ("must be given",)),
    Hostile(".yaml", fixed(b"just text"), ("unknown name 'just text'",)),
    Hostile(".yaml", fixed(b"- 1\n- 2\n"), ("not a mapping",)),
    Hostile(".yaml", fixed(b"1: 2\n"), ("unknown name '1'",)),
    Hostile(".yaml", fixed(b"model: 3\n"), ("unknown name 'model'",)),
]


def _data_pickle(archive_bytes: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(archive_bytes)) as archive:
        return archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl")))
