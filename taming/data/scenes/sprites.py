"""Flat drawings of the objects that may stand in a scene, as shapes in a unit square lit from the right."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

OVERSAMPLING = 3
PAINTS: tuple[str, ...] = ("#d8433b", "#3f7fc4", "#e8a32e", "#4f9d5b", "#b85a9e")


class Shape(NamedTuple):
    """A polygon through its points, or the ellipse between its two; no color means the object's own paint."""

    kind: Literal["polygon", "ellipse"]
    color: str | None
    points: tuple[tuple[float, float], ...]


def _polygon(color: str | None, *points: tuple[float, float]) -> Shape:
    return Shape("polygon", color, points)


def _box(color: str | None, x0: float, y0: float, x1: float, y1: float) -> Shape:
    return Shape("polygon", color, ((x0, y0), (x1, y0), (x1, y1), (x0, y1)))


def _ellipse(color: str | None, x0: float, y0: float, x1: float, y1: float) -> Shape:
    return Shape("ellipse", color, ((x0, y0), (x1, y1)))


SPRITES: Mapping[str, tuple[Shape, ...]] = {
    "house": (
        _box("#8a4b38", 0.68, 0.12, 0.78, 0.36),
        _box("#d9c9b0", 0.12, 0.46, 0.45, 1.0),
        _box("#f4e9d6", 0.45, 0.46, 0.88, 1.0),
        _polygon(None, (0.04, 0.5), (0.3, 0.14), (0.7, 0.14), (0.96, 0.5)),
        _box("#6b4632", 0.2, 0.64, 0.36, 1.0),
        _box("#7fb6d9", 0.55, 0.6, 0.77, 0.8),
    ),
    "tent": (
        _polygon(None, (0.5, 0.2), (1.0, 1.0), (0.36, 1.0)),
        _polygon("#f2e6cc", (0.5, 0.2), (0.56, 1.0), (0.0, 1.0)),
        _polygon("#4a3d38", (0.46, 0.42), (0.42, 1.0), (0.16, 1.0)),
    ),
    "lighthouse": (
        _polygon("#8f8a86", (0.28, 0.92), (0.72, 0.92), (0.8, 1.0), (0.2, 1.0)),
        _polygon("#f6f2ea", (0.4, 0.24), (0.6, 0.24), (0.68, 0.94), (0.32, 0.94)),
        _polygon(None, (0.384, 0.38), (0.616, 0.38), (0.634, 0.54), (0.366, 0.54)),
        _polygon(None, (0.35, 0.68), (0.65, 0.68), (0.668, 0.84), (0.332, 0.84)),
        _box("#4a4a55", 0.35, 0.2, 0.65, 0.25),
        _box("#ffe08a", 0.41, 0.1, 0.59, 0.2),
        _polygon("#4a4a55", (0.37, 0.11), (0.5, 0.0), (0.63, 0.11)),
    ),
    "rock": (
        _polygon("#77716f", (0.0, 1.0), (0.1, 0.62), (0.36, 0.36), (0.62, 0.4), (0.9, 0.64), (1.0, 1.0)),
        _polygon("#a39c97", (0.36, 0.36), (0.62, 0.4), (0.9, 0.64), (0.64, 0.72)),
        _polygon("#8c8581", (0.64, 0.72), (0.9, 0.64), (1.0, 1.0), (0.58, 1.0)),
    ),
    "cactus": (
        _ellipse("#3f8a4a", 0.38, 0.0, 0.62, 0.24),
        _box("#3f8a4a", 0.38, 0.12, 0.62, 1.0),
        _box("#59a85f", 0.5, 0.12, 0.58, 1.0),
        _ellipse("#3f8a4a", 0.1, 0.28, 0.26, 0.44),
        _polygon("#3f8a4a", (0.1, 0.36), (0.26, 0.36), (0.26, 0.52), (0.4, 0.52), (0.4, 0.68), (0.1, 0.68)),
        _ellipse("#4a9852", 0.74, 0.16, 0.9, 0.32),
        _polygon("#4a9852", (0.74, 0.24), (0.9, 0.24), (0.9, 0.56), (0.6, 0.56), (0.6, 0.4), (0.74, 0.4)),
    ),
    "snowman": (
        _ellipse("#cfd9e8", 0.2, 0.52, 0.8, 1.04),
        _ellipse("#f7faff", 0.26, 0.52, 0.8, 1.0),
        _ellipse("#f7faff", 0.31, 0.2, 0.7, 0.58),
        _box(None, 0.32, 0.5, 0.69, 0.58),
        _box(None, 0.56, 0.54, 0.66, 0.76),
        _polygon("#ee7d2c", (0.5, 0.36), (0.74, 0.41), (0.5, 0.45)),
        _ellipse("#33343c", 0.4, 0.3, 0.46, 0.36),
        _box("#33343c", 0.26, 0.19, 0.74, 0.25),
        _box("#33343c", 0.36, 0.02, 0.64, 0.22),
    ),
    "boat": (
        _box("#6b4a34", 0.47, 0.05, 0.51, 0.8),
        _polygon(None, (0.52, 0.06), (0.94, 0.7), (0.52, 0.7)),
        _polygon("#f8f1e2", (0.46, 0.14), (0.46, 0.7), (0.12, 0.7)),
        _polygon("#8a5a3c", (0.02, 0.76), (0.98, 0.76), (0.82, 1.0), (0.18, 1.0)),
        _polygon("#a8734e", (0.02, 0.76), (0.98, 0.76), (0.93, 0.84), (0.07, 0.84)),
    ),
    "balloon": (
        _polygon("#5c4634", (0.3, 0.56), (0.33, 0.56), (0.45, 0.86), (0.42, 0.86)),
        _polygon("#5c4634", (0.67, 0.56), (0.7, 0.56), (0.58, 0.86), (0.55, 0.86)),
        _ellipse(None, 0.14, 0.0, 0.86, 0.68),
        _polygon(None, (0.2, 0.5), (0.8, 0.5), (0.6, 0.74), (0.4, 0.74)),
        _ellipse("#f8ecd2", 0.3, 0.0, 0.7, 0.7),
        _ellipse(None, 0.42, 0.0, 0.58, 0.72),
        _box("#8a5f3c", 0.4, 0.85, 0.6, 1.0),
    ),
}


def draw_sprite(name: str, size: int, paint: str) -> np.ndarray:
    """The object `name` as (size, size, 4) float32 RGBA in 0..255."""
    side = size * OVERSAMPLING
    image = Image.new("RGBA", (side, side))
    draw = ImageDraw.Draw(image)
    for shape in SPRITES[name]:
        points = [(x * side, y * side) for x, y in shape.points]
        outline = draw.polygon if shape.kind == "polygon" else draw.ellipse
        outline(points, fill=shape.color or paint)
    return np.asarray(image.reduce(OVERSAMPLING), np.float32)
