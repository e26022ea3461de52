"""The picture work of the demo; needs Pillow and the pack, so it runs in the environment that ComfyUI runs in."""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from taming.data import render_scene
from taming.data.scenes.class_palettes import SCENE_CLASSES
from taming.viz import labelled_sheet

LONGEST_PX = 512  # a photograph in full resolution would take minutes without a GPU
SCENE_SEED = 2**31 - 1  # far above every seed that the embedded models were trained on


def main(command: str, target: Path, arguments: list[str]) -> None:
    """Make the picture `target`: `fit FILE` or `sheet COLUMNS SIDE PICTURE... LABEL...`, none larger than SIDE.

    `scenes CLASS...` makes one of each class in the folder `target`.
    """
    if command == "fit":
        fit(Path(arguments[0])).save(target)
    elif command == "scenes":
        for name in arguments:
            scene = render_scene(SCENE_CLASSES.index(name), SCENE_SEED)
            Image.fromarray(scene.image).save(target / f"input_{name}.png")
    elif command == "sheet":
        columns, side, *rest = arguments
        pictures = [Image.open(picture) for picture in rest[: len(rest) // 2]]
        for picture in pictures:
            picture.thumbnail((int(side), int(side)))
        labelled_sheet(pictures, rest[len(rest) // 2 :], int(columns)).save(target)


def fit(file: Path) -> Image.Image:
    """Read a picture upright and in color, no side longer than `LONGEST_PX`."""
    try:
        image = ImageOps.exif_transpose(Image.open(file)).convert("RGB")
    except (UnidentifiedImageError, OSError) as error:
        sys.exit(f"{file} is not a picture that Pillow can read: {error}")
    image.thumbnail((LONGEST_PX, LONGEST_PX))
    return image
