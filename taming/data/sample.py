"""A training picture with everything known about it, and the three moves that keep all of it in step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from PIL import Image

from ..errors import TamingError


@dataclass(frozen=True)
class SampleBox:
    """An object; lengths are fractions of the whole picture, as it was before any crop or flip."""

    label: int
    x: float  # left edge
    y: float  # upper edge
    width: float
    height: float


@dataclass(frozen=True)
class Sample:
    """One picture. Maps show what `image` shows; `boxes` stay in the whole picture, of which `crop` was taken.

    `image` is the part `crop` of the whole picture, afterwards mirrored left to right if `is_flipped`: the order in
    which `encode_boxes` takes them.
    """

    image: np.ndarray  # (H, W, 3) uint8
    label: int | None = None
    caption: str | None = None
    segmentation: np.ndarray | None = None  # (H, W) uint8
    depth: np.ndarray | None = None  # (H, W) float32, of any range, near = large
    context: np.ndarray | None = None  # (S, D) float32 vectors that a text encoder made of the caption
    boxes: tuple[SampleBox, ...] = ()
    crop: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)  # x, y, width, height in the whole picture
    is_flipped: bool = False
    file: str | None = None  # name of the file that it came from, below the folder of the data

    def cropped(self, left: int, top: int, width: int, height: int) -> Sample:
        """The rectangle of `width` x `height` pixels whose upper left corner is at (`left`, `top`).

        Raises:
            TamingError: the rectangle is empty or leaves the picture.
        """
        all_height, all_width = self.image.shape[:2]
        if min(left, top) < 0 or min(width, height) < 1 or left + width > all_width or top + height > all_height:
            raise TamingError(
                f"A crop of {width}x{height} px at ({left}, {top}) does not fit a picture of {all_width}x{all_height} "
                "px. Crop less, or resize the picture first (ResizeShorter)."
            )
        rows, columns = slice(top, top + height), slice(left, left + width)
        x, y, whole_width, whole_height = self.crop
        before_flip = all_width - left - width if self.is_flipped else left
        return replace(
            self,
            image=self.image[rows, columns],
            segmentation=None if self.segmentation is None else self.segmentation[rows, columns],
            depth=None if self.depth is None else self.depth[rows, columns],
            crop=(
                x + whole_width * before_flip / all_width,
                y + whole_height * top / all_height,
                whole_width * width / all_width,
                whole_height * height / all_height,
            ),
        )

    def mirrored(self) -> Sample:
        """Left becomes right."""
        return replace(
            self,
            image=self.image[:, ::-1],
            segmentation=None if self.segmentation is None else self.segmentation[:, ::-1],
            depth=None if self.depth is None else self.depth[:, ::-1],
            is_flipped=not self.is_flipped,
        )

    def resized(self, width: int, height: int) -> Sample:
        """The same at `width` x `height` pixels: the picture antialiased, depth averaged, segments picked."""
        if self.image.shape[:2] == (height, width):
            return self
        size, resampling = (width, height), Image.Resampling
        return replace(
            self,
            image=_resize(self.image, size, resampling.LANCZOS),
            segmentation=None if self.segmentation is None else _resize(self.segmentation, size, resampling.NEAREST),
            depth=None if self.depth is None else _resize(self.depth, size, resampling.BILINEAR),
        )


class Dataset(Protocol):
    """What training reads. `dataset[i]` gives the same sample each time, from any thread."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Sample: ...

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the labels by number; empty without labels."""
        ...

    @property
    def fingerprint(self) -> str:
        """Changes when what is in it changes."""
        ...


def _resize(array: np.ndarray, size: tuple[int, int], resampling: Image.Resampling) -> np.ndarray:
    # Pillow widens its filter when it shrinks; far down, whole blocks are averaged first, which looks the same.
    return np.asarray(Image.fromarray(array).resize(size, resampling, reducing_gap=3.0))
