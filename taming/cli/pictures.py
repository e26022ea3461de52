"""Picture files, as tensors and back, and the names that results are written under."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from ..data.decode import UNREADABLE_PICTURE
from ..errors import TamingError, UnsupportedCheckpointError
from ..models import VQModel
from ..wording import shorten_error

log = logging.getLogger(__name__)


def read_picture(path: Path, size_px: tuple[int, int] | None = None, smooth: bool = True) -> Tensor:
    """The picture at `path` as (1, 3, H, W) in [-1, 1]: upright, without transparency.

    Args:
        size_px: (width, height) to scale and center-crop it to.
        smooth: scale by averaging; maps of labels are not smoothed.
    """
    try:
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file).convert("RGB")
    except UNREADABLE_PICTURE as error:
        raise TamingError(f"{path} cannot be read as a picture: {shorten_error(error)}.") from error
    if size_px is not None:
        image = ImageOps.fit(image, size_px, Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST)
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]  # (1, 3, H, W)
    return pixels.float() / 127.5 - 1


def crop_to_cells(pixels: Tensor, factor: int, name: str) -> Tensor:
    """The middle of `pixels`, (1, 3, H, W), with sides that are multiples of `factor`, as Encode to Tokens takes it."""
    height, width = pixels.shape[2:]
    new_height, new_width = (side // factor * factor for side in (height, width))
    if not new_height or not new_width:
        raise TamingError(f"{name} is {width}x{height} px, less than one token of {factor} px. Use a larger picture.")
    if (new_height, new_width) != (height, width):
        size, new_size = f"{width}x{height}", f"{new_width}x{new_height}"
        log.warning("%s: cropped %s to %s, multiples of %d px.", name, size, new_size, factor)
    top, left = (height - new_height) // 2, (width - new_width) // 2
    return pixels[:, :, top : top + new_height, left : left + new_width]


def write_picture(pixels: Tensor, path: Path) -> None:
    """Save `pixels`, (3, H, W) in [-1, 1] (clamped), and say where."""
    levels = (pixels.clamp(-1, 1) + 1) * 127.5
    Image.fromarray(levels.round().to(torch.uint8).permute(1, 2, 0).numpy()).save(path)
    print(path)


def check_pictures(vqgan: VQModel, name: str) -> None:
    """Raise unless `vqgan`, of the file `name`, takes and gives RGB pictures."""
    channels = vqgan.config.in_channels, vqgan.config.out_ch
    if channels != (3, 3):
        raise UnsupportedCheckpointError(
            f"{name} works on {channels[0]} channels, not on pictures. Give one trained on pictures."
        )


def result_paths(sources: Sequence[Path], folder: Path, suffix: str) -> list[Path]:
    """A path in `folder`, which is made, for the result of each of `sources`; none may be lost to another."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{source.stem}{suffix}" for source in sources]
    for path in paths:
        if paths.count(path) > 1:
            raise TamingError(f"Several inputs would be written to {path}. Rename them, or run them one by one.")
        if path.resolve() in {source.resolve() for source in sources}:
            raise TamingError(f"{path} is an input and would be overwritten. Give another folder as --out.")
    return paths
