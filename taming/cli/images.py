"""Picture files, as tensors and back, and the names that results are written under."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from ..data import whole_cells
from ..data.image_io import UNREADABLE_PICTURE, decode_picture
from ..errors import TamingError, UnsupportedCheckpointError
from ..file_names import check_free, check_new_folder, make_folder, mend_name, written_at_once
from ..models import VQModel
from ..text import shorten, shorten_error
from .options import TAKEN

log = logging.getLogger(__name__)

MAX_MASK_COLORS = 4096  # two colors of paint with soft edges have a tenth of them, photographs several times as many
LOOKS_LIKE_A_PICTURE = (
    "%s looks like a picture, not like a mask: what is white, or has any color, is drawn again; what is black or "
    "transparent stays. ComfyUI's mask editor saves the picture with transparent holes where the mask is: connect "
    "its MASK to Convert Mask to Image and save that."
)
MASKS_NOTHING = (
    "%s masks nothing, so the picture stays: what is white, or has any color, would be drawn again; what is black or "
    "transparent stays."
)


def read_picture(path: Path, size_px: tuple[int, int] | None = None, smooth: bool = True) -> Tensor:
    """The picture at `path` as (1, 3, H, W) in [-1, 1], decoded as training decodes it: what is transparent is white.

    Args:
        size_px: (width, height) to scale and center-crop it to.
        smooth: scale by averaging; maps of labels are not smoothed.
    """
    image = _decode(path, "white")
    if size_px is not None:
        resampling = Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST
        image = np.array(ImageOps.fit(Image.fromarray(image), size_px, resampling))
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None]  # (1, 3, H, W)
    return pixels.float() / 127.5 - 1


def read_mask(path: Path) -> Tensor:
    """The mask at `path` as (1, H, W) in [0, 1]: 1 for white, 0 for what is black or transparent, whatever lies under.

    Colors count by their brightest channel.
    """
    image = _decode(path, "black")
    if Image.fromarray(image).getcolors(MAX_MASK_COLORS) is None:
        log.warning(LOOKS_LIKE_A_PICTURE, path)
    mask = image.max(axis=-1)
    if not mask.any():
        log.warning(MASKS_NOTHING, path)
    return torch.from_numpy(mask)[None].float() / 255


def crop_to_cells(pixels: Tensor, factor: int, name: str) -> Tensor:
    """The middle of `pixels`, (1, 3, H, W), with sides that are multiples of `factor`, as Encode to Tokens takes it."""
    height, width = pixels.shape[2:]
    rows, columns = whole_cells(width, height, factor, name)
    return pixels[:, :, rows, columns]


def write_picture(pixels: Tensor, path: Path, overwrite: bool) -> None:
    """Save `pixels`, (3, H, W) in [-1, 1] (clamped), and say where."""
    levels = (pixels.clamp(-1, 1) + 1) * 127.5
    with written_at_once(path, overwrite) as file:
        Image.fromarray(levels.round().to(torch.uint8).permute(1, 2, 0).numpy()).save(file)
    print(path)


def check_pictures(vqgan: VQModel, name: str) -> None:
    """Raise unless `vqgan`, of the file `name`, takes and gives RGB pictures."""
    channels = vqgan.config.in_channels, vqgan.config.out_ch
    if channels != (3, 3):
        raise UnsupportedCheckpointError(
            f"{name} works on {channels[0]} channels, not on pictures. Give one trained on pictures."
        )


def result_paths(sources: Sequence[Path], names: Sequence[str], folder: Path, overwrite: bool) -> list[Path]:
    """The paths in `folder`, which is made, of results called `names`; none may be lost to another.

    Args:
        sources: what the results are made of, and must not replace.
        overwrite: whether they may replace what else is there.
    """
    check_new_folder(folder)
    paths = [folder / name for name in names]
    inputs, counts = {source.resolve() for source in sources}, Counter(paths)
    for path, count in counts.items():
        if count > 1:
            raise TamingError(f"Several inputs would be written to {path}. Rename them, or run them one by one.")
        if path.resolve() in inputs:
            raise TamingError(f"{path} is an input and would be overwritten. Give another folder as --out.")
    if not overwrite:
        check_free(paths, TAKEN)
    make_folder(folder)
    return paths


def result_stem(source: Path) -> str:
    """What the result of `source` is called, without an ending: as `source` is, where every system can have that."""
    stem = mend_name(source.stem)
    if stem != source.stem:
        log.warning("%s: its result is called %s, which every system can have.", source, shorten(stem))
    return stem


def _decode(path: Path, background: Literal["white", "black"]) -> np.ndarray:
    """The picture at `path`, (H, W, 3) uint8."""
    try:
        return decode_picture(path, background)
    except UNREADABLE_PICTURE as error:
        raise TamingError(f"{path} cannot be read as a picture: {shorten_error(error)}.") from error
