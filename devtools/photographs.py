"""The pictures that the embedded tokenizer saw beside scenes: crops of free photographs, and emoji on them.

`python -m devtools.photographs runs/photographs` writes them, 256 px squares unless `--size` says otherwise. It needs
Debian's `apt-get` and npm, which fetch the originals. Their authors and licenses: NOTICE.md.
"""

from __future__ import annotations

import argparse
import subprocess
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
NUM_CROPS = 6_000
NUM_EMOJI = 2_000
SMALLEST_SHARE = 1 / 12  # of a photograph's shorter side that a crop shows, unless it would be enlarged


def write_pictures(folder: Path, size_px: int) -> None:
    """Write the crops and the emoji into `folder`, squares of `size_px`; the same ones at every call."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as place:
        photographs = _fetch_photographs(Path(place))
        for number in range(NUM_CROPS):
            _crop(photographs[number % len(photographs)], size_px, rng).save(folder / f"photograph-{number:05}.png")
        say(f"{NUM_CROPS} crops of {len(photographs)} photographs")
        stickers = _fetch_emoji(Path(place))
        for number in range(NUM_EMOJI):
            sticker = Image.open(stickers[int(rng.integers(len(stickers)))]).convert("RGBA")
            _paste(sticker, photographs, size_px, rng).save(folder / f"emoji-{number:05}.png")
        say(f"{NUM_EMOJI} emoji")


def _crop(photograph: Image.Image, size_px: int, rng: np.random.Generator) -> Image.Image:
    """A square anywhere, of a side drawn evenly on a logarithmic scale."""
    longest = min(photograph.size)
    side = max(size_px, int(longest * SMALLEST_SHARE ** rng.random()))
    left, top = (int(rng.integers(extent - side + 1)) for extent in photograph.size)
    box = (left, top, left + side, top + side)
    return photograph.resize((size_px, size_px), Image.Resampling.LANCZOS, box, reducing_gap=3)


def _paste(sticker: Image.Image, photographs: list[Image.Image], size_px: int, rng: np.random.Generator) -> Image.Image:
    """An emoji on a plain color or on a photograph."""
    if rng.random() < 0.5:
        background = Image.new("RGB", (size_px, size_px), tuple(int(value) for value in rng.integers(256, size=3)))
    else:
        background = _crop(photographs[int(rng.integers(len(photographs)))], size_px, rng)
    side = int(rng.integers(size_px // 2, size_px))
    sticker = sticker.resize((side, side), Image.Resampling.LANCZOS)
    left, top = (int(value) for value in rng.integers(size_px - side + 1, size=2))
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


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=256, metavar="PX", help="of the squares (default 256)")
    return parser.parse_args()


if __name__ == "__main__":
    options = _parse_arguments()
    write_pictures(options.folder, options.size)
