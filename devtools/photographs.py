"""The pictures that the embedded tokenizer saw beside scenes: crops of free photographs, and emoji on them.

`python -m devtools.photographs runs/photographs` writes them. It needs Debian's `apt-get` and npm, which fetch the
originals. Their authors and licenses: NOTICE.md.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from .steps import say

WALLPAPERS = "lomiri-wallpapers-16.04"
EMOJI = "@lobehub/fluent-emoji-3d@1.1.0"
# Those of the package that are CC BY 4.0 or CC0.
PHOTOGRAPHS = (
    "Picture_0B_by_freespace",
    "Picture_1A_by_freespace",
    "Wine_by_Jakkub_Mede",
    "aitzgorri_by_Aitzol_Berasategi",
    "friends_by_Aitzol_Berasategi",
    "life_by_Aitzol_Berasategi",
    "picosdeeuropa_by_Aitzol_Berasategi",
    "seeding_by_Clements_Engelhardt",
    "sunset_by_Aitzol_Berasategi",
    "umang_by_Abhishek_Mudgal",
)
SIZE_PX = 128
NUM_CROPS = 9_000
NUM_EMOJI = 2_000
SMALLEST_SHARE = 1 / 12  # of a photograph's shorter side that a crop shows; the largest shows all of it


def write_pictures(folder: Path) -> None:
    """Write the crops and the emoji into `folder`; the same ones at every call."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as place:
        photographs = _fetch_photographs(Path(place))
        for number in range(NUM_CROPS):
            _crop(photographs[number % len(photographs)], rng).save(folder / f"photograph-{number:05}.png")
        say(f"{NUM_CROPS} crops of {len(photographs)} photographs")
        stickers = _fetch_emoji(Path(place))
        for number in range(NUM_EMOJI):
            sticker = Image.open(stickers[int(rng.integers(len(stickers)))]).convert("RGBA")
            _paste(sticker, photographs, rng).save(folder / f"emoji-{number:05}.png")
        say(f"{NUM_EMOJI} emoji")


def _crop(photograph: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A square anywhere, of a side drawn evenly on a logarithmic scale."""
    longest = min(photograph.size)
    side = max(SIZE_PX, int(longest * SMALLEST_SHARE ** rng.random()))
    left, top = (int(rng.integers(extent - side + 1)) for extent in photograph.size)
    box = (left, top, left + side, top + side)
    return photograph.resize((SIZE_PX, SIZE_PX), Image.Resampling.LANCZOS, box, reducing_gap=3)


def _paste(sticker: Image.Image, photographs: list[Image.Image], rng: np.random.Generator) -> Image.Image:
    """An emoji on a plain color or on a photograph."""
    if rng.random() < 0.5:
        background = Image.new("RGB", (SIZE_PX, SIZE_PX), tuple(int(value) for value in rng.integers(256, size=3)))
    else:
        background = _crop(photographs[int(rng.integers(len(photographs)))], rng)
    side = int(rng.integers(SIZE_PX // 2, SIZE_PX))
    sticker = sticker.resize((side, side), Image.Resampling.LANCZOS)
    left, top = (int(value) for value in rng.integers(SIZE_PX - side + 1, size=2))
    background.paste(sticker, (left, top), sticker)
    return background


def _fetch_photographs(place: Path) -> list[Image.Image]:
    subprocess.run(["apt-get", "download", WALLPAPERS], cwd=place, check=True)
    package = next(place.glob("*.deb"))
    subprocess.run(["dpkg", "-x", str(package), "wallpapers"], cwd=place, check=True)
    files = {path.stem: path for path in (place / "wallpapers").rglob("*.jpg")}
    return [Image.open(files[name]).convert("RGB") for name in PHOTOGRAPHS]


def _fetch_emoji(place: Path) -> list[Path]:
    subprocess.run(["npm", "pack", EMOJI], cwd=place, check=True, capture_output=True)
    with tarfile.open(next(place.glob("*.tgz"))) as package:
        package.extractall(place / "emoji", filter="data")
    return sorted((place / "emoji").rglob("*.webp"))


if __name__ == "__main__":
    write_pictures(Path(sys.argv[1]))
