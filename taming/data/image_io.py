"""Picture files of every kind to upright RGB pixels."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import IO, Literal

import numpy as np
from PIL import Image, ImageOps

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif")

# What Pillow raises for files that are missing, damaged, foreign or made to exhaust memory. Version 13 raises the first
# three and the last; older ones, which a host may have, let the others through.
UNREADABLE_PICTURE = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    LookupError,
    TypeError,
    ArithmeticError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


def decode_picture(source: Path | IO[bytes], background: Literal["white", "black"] = "white") -> np.ndarray:
    """The picture, (H, W, 3) uint8: upright by its EXIF tag, of animations the first frame, 16 bits cut to 8.

    What is transparent becomes `background`, by default the page that cut-outs are made for: the colors stored under
    transparency are whatever the editor left there. Color profiles are not applied.

    Raises:
        One of UNREADABLE_PICTURE.
    """
    with Image.open(source) as file:
        file.getexif()  # of a TIFF, Pillow before 10.1 finds it only while the file is open, which loading may end
        file.load()
        image = ImageOps.exif_transpose(file)
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers of unknown range; convert it to 8 or 16 bits")
    if image.mode == "I" or image.mode.startswith("I;16"):
        levels = np.asarray(image).astype(np.int64)  # Pillow itself would clip to 255
        if levels.min() < 0 or levels.max() > 65535:
            raise ValueError("its pixels have more than 16 bits; convert it to 8 or 16 bits")
        if "transparency" in image.info:  # the one level that is, which Pillow itself would drop
            levels[levels == image.info["transparency"]] = 65535 if background == "white" else 0
        return np.repeat((levels >> 8).astype(np.uint8)[..., None], 3, axis=2)  # (H, W, 3)
    if _has_transparency(image):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, background), image)
    return np.array(image.convert("RGB"))


def _has_transparency(image: Image.Image) -> bool:
    """Whether a pixel may be transparent; Pillow says so itself from 10.1 on."""
    own_alpha = image.mode in ("LA", "La", "PA", "RGBA", "RGBa")
    in_palette = image.mode == "P" and image.palette is not None and image.palette.mode.endswith("A")
    return own_alpha or in_palette or "transparency" in image.info


def picture_size(source: Path | IO[bytes]) -> tuple[int, int]:
    """Width and height as stored, from the first bytes of the file; raises one of UNREADABLE_PICTURE."""
    with Image.open(source) as file:
        return file.size
