"""Files that hold no weights at all, or none that can be read without running something."""

from __future__ import annotations

import builtins
import os
import pickle
import random
import subprocess
import zipfile

import torch

from published import vqgan_weights

from .forge import (
    Call,
    Hostile,
    code,
    command,
    cut,
    data_pickle,
    fixed,
    global_bytes,
    nested_bytes,
    overlapping_zip,
    python,
    safetensors_bytes,
    shell,
    torch_bytes,
    torch_zip,
    weights_bytes,
    zip_of,
)

RUNS = "contains code that would have to run"
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
    Hostile("torch_load.ckpt", code(torch.load, lambda canary: (str(canary),)), (RUNS, "torch.serialization.load")),
]
TRAINING_STATE = [  # without weights beside it
    Hostile(
        "lightning.ckpt",
        fixed(global_bytes("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint")),
        ("holds no weights",),
    ),
    Hostile("omegaconf.ckpt", fixed(global_bytes("omegaconf.dictconfig", "DictConfig")), ("holds no weights",)),
    Hostile("module.pkl", lambda _: torch_bytes(torch.nn.Linear(2, 2)), ("holds no weights", "Linear")),
    Hostile(
        "old_module.pkl",
        lambda _: torch_bytes({"callbacks": torch.nn.Linear(2, 2)}, legacy=True),
        ("holds no weights", "callbacks", "state_dict"),
    ),
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
    Hostile("no_storage.ckpt", lambda _: torch_zip(data_pickle(torch_bytes(vqgan_weights()))), ("damaged", AGAIN)),
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
