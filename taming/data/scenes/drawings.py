"""Flat drawings of things, as shapes in a unit square lit from the right."""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

OVERSAMPLING = 4


class Shape(NamedTuple):
    """A polygon through its points, or the ellipse between its two.

    Its color is six hexadecimal digits; or `paint` and `shaded`, the thing's own; or `window` and `fire`, which shine
    by themselves in the dark.
    """

    kind: Literal["polygon", "ellipse"]
    color: str
    points: tuple[tuple[float, float], ...]
    is_snow: bool = False  # lies on it in winter only


def _polygon(color: str, *points: tuple[float, float], is_snow: bool = False) -> Shape:
    return Shape("polygon", color, points, is_snow)


def _box(color: str, x0: float, y0: float, x1: float, y1: float) -> Shape:
    return Shape("polygon", color, ((x0, y0), (x1, y0), (x1, y1), (x0, y1)))


def _ellipse(color: str, x0: float, y0: float, x1: float, y1: float, is_snow: bool = False) -> Shape:
    return Shape("ellipse", color, ((x0, y0), (x1, y1)), is_snow)


def _tower(x0: float, x1: float, top: float, roof: float, flare: float = 0.03) -> tuple[Shape, ...]:
    """A round tower with a pointed roof."""
    middle = (x0 + x1) / 2
    return (
        _box("b9b0a6", x0, top, x1, 1.0),
        _box("d8d0c4", middle, top, x1, 1.0),
        _polygon("shaded", (x0 - flare, top), (middle, roof), (middle, top)),
        _polygon("paint", (middle, top), (middle, roof), (x1 + flare, top)),
        _polygon("f4f8ff", (middle - 0.03, roof + 0.09), (middle, roof), (middle + 0.03, roof + 0.09), is_snow=True),
    )


def _blade(x: float, y: float) -> tuple[Shape, ...]:
    """A sail of a windmill from the hub towards (x, y), both relative to the hub, with its stock."""
    hub_x, hub_y, across_x, across_y = 0.5, 0.36, -0.26 * y, 0.26 * x
    near, far = (hub_x + 0.2 * x, hub_y + 0.2 * y), (hub_x + x, hub_y + y)
    sail = (near, far, (far[0] + across_x, far[1] + across_y), (near[0] + across_x, near[1] + across_y))
    stock = (
        (hub_x - 0.06 * across_x, hub_y),
        far,
        (far[0] + 0.16 * across_x, far[1] + 0.16 * across_y),
        (hub_x, hub_y),
    )
    return _polygon("f6efe0", *sail), _polygon("6a5040", *stock)


DRAWINGS: Mapping[str, tuple[Shape, ...]] = {
    "cabin": (
        _box("84503c", 0.68, 0.12, 0.79, 0.4),
        _box("c8b494", 0.12, 0.46, 0.45, 1.0),
        _box("f0e2c8", 0.45, 0.46, 0.88, 1.0),
        _polygon("paint", (0.02, 0.52), (0.28, 0.14), (0.72, 0.14), (0.98, 0.52)),
        _polygon("shaded", (0.02, 0.52), (0.28, 0.14), (0.36, 0.14), (0.14, 0.52)),
        _polygon("f4f8ff", (0.16, 0.31), (0.28, 0.13), (0.72, 0.13), (0.84, 0.31), (0.5, 0.27), is_snow=True),
        _box("6b4632", 0.2, 0.62, 0.36, 1.0),
        _box("6b4632", 0.53, 0.58, 0.79, 0.82),
        _box("window", 0.56, 0.61, 0.76, 0.79),
    ),
    "tent": (
        _polygon("shaded", (0.5, 0.16), (0.58, 1.0), (0.0, 1.0)),
        _polygon("paint", (0.5, 0.16), (1.0, 1.0), (0.36, 1.0)),
        _polygon("4a3d38", (0.5, 0.42), (0.6, 1.0), (0.34, 1.0)),
    ),
    "lighthouse": (
        _polygon("8f8a86", (0.28, 0.92), (0.72, 0.92), (0.8, 1.0), (0.2, 1.0)),
        _polygon("f6f2ea", (0.4, 0.24), (0.6, 0.24), (0.68, 0.94), (0.32, 0.94)),
        _polygon("paint", (0.384, 0.38), (0.616, 0.38), (0.634, 0.54), (0.366, 0.54)),
        _polygon("paint", (0.35, 0.68), (0.65, 0.68), (0.668, 0.84), (0.332, 0.84)),
        _polygon("shaded", (0.384, 0.38), (0.45, 0.38), (0.44, 0.54), (0.366, 0.54)),
        _polygon("shaded", (0.35, 0.68), (0.43, 0.68), (0.42, 0.84), (0.332, 0.84)),
        _box("4a4a55", 0.35, 0.2, 0.65, 0.25),
        _box("window", 0.41, 0.1, 0.59, 0.2),
        _polygon("paint", (0.37, 0.11), (0.5, 0.0), (0.63, 0.11)),
    ),
    "castle": (
        *_tower(0.04, 0.24, 0.42, 0.14),
        *_tower(0.76, 0.96, 0.42, 0.14),
        _box("c4bcb0", 0.16, 0.6, 0.84, 1.0),
        *(_box("c4bcb0", 0.18 + 0.14 * n, 0.54, 0.26 + 0.14 * n, 0.62) for n in range(5)),
        *_tower(0.36, 0.64, 0.34, 0.0),
        _ellipse("54443c", 0.42, 0.66, 0.58, 0.9),
        _box("54443c", 0.42, 0.78, 0.58, 1.0),
        _box("window", 0.46, 0.42, 0.54, 0.54),
        _box("window", 0.11, 0.52, 0.17, 0.62),
        _box("window", 0.83, 0.52, 0.89, 0.62),
    ),
    "windmill": (
        _polygon("d8ccb8", (0.36, 0.36), (0.64, 0.36), (0.74, 1.0), (0.26, 1.0)),
        _polygon("f2e8d6", (0.5, 0.36), (0.64, 0.36), (0.74, 1.0), (0.5, 1.0)),
        _polygon("paint", (0.33, 0.38), (0.4, 0.22), (0.6, 0.22), (0.67, 0.38)),
        _box("6b4632", 0.44, 0.76, 0.57, 1.0),
        _box("window", 0.46, 0.54, 0.55, 0.64),
        *_blade(0.28, -0.26),
        *_blade(-0.26, -0.28),
        *_blade(-0.28, 0.26),
        *_blade(0.26, 0.28),
        _ellipse("6a5040", 0.46, 0.32, 0.54, 0.4),
    ),
    "rocks": (
        _polygon("77716f", (0.0, 1.0), (0.1, 0.62), (0.36, 0.36), (0.62, 0.4), (0.9, 0.64), (1.0, 1.0)),
        _polygon("a39c97", (0.36, 0.36), (0.62, 0.4), (0.9, 0.64), (0.64, 0.72)),
        _polygon("8c8581", (0.64, 0.72), (0.9, 0.64), (1.0, 1.0), (0.58, 1.0)),
        _polygon("f4f8ff", (0.22, 0.5), (0.36, 0.35), (0.62, 0.39), (0.78, 0.54), (0.5, 0.54), is_snow=True),
    ),
    "cactus": (
        _ellipse("3f8a4a", 0.38, 0.0, 0.62, 0.24),
        _box("3f8a4a", 0.38, 0.12, 0.62, 1.0),
        _box("59a85f", 0.5, 0.12, 0.58, 1.0),
        _ellipse("3f8a4a", 0.1, 0.28, 0.26, 0.44),
        _polygon("3f8a4a", (0.1, 0.36), (0.26, 0.36), (0.26, 0.52), (0.4, 0.52), (0.4, 0.68), (0.1, 0.68)),
        _ellipse("4a9852", 0.74, 0.16, 0.9, 0.32),
        _polygon("4a9852", (0.74, 0.24), (0.9, 0.24), (0.9, 0.56), (0.6, 0.56), (0.6, 0.4), (0.74, 0.4)),
    ),
    "snowman": (
        _ellipse("cfd9e8", 0.2, 0.52, 0.8, 1.04),
        _ellipse("f7faff", 0.26, 0.52, 0.8, 1.0),
        _ellipse("f7faff", 0.31, 0.2, 0.7, 0.58),
        _box("d8433b", 0.32, 0.5, 0.69, 0.58),
        _box("d8433b", 0.56, 0.54, 0.66, 0.76),
        _polygon("ee7d2c", (0.5, 0.36), (0.76, 0.41), (0.5, 0.46)),
        _ellipse("33343c", 0.4, 0.29, 0.47, 0.36),
        _box("33343c", 0.26, 0.18, 0.74, 0.25),
        _box("33343c", 0.36, 0.02, 0.64, 0.22),
    ),
    "boat": (
        _box("6b4a34", 0.47, 0.03, 0.51, 0.8),
        _polygon("paint", (0.52, 0.04), (0.96, 0.7), (0.52, 0.7)),
        _polygon("shaded", (0.46, 0.12), (0.46, 0.7), (0.1, 0.7)),
        _polygon("8a5a3c", (0.02, 0.76), (0.98, 0.76), (0.82, 1.0), (0.18, 1.0)),
        _polygon("b07c54", (0.02, 0.76), (0.98, 0.76), (0.93, 0.84), (0.07, 0.84)),
    ),
    "balloon": (
        _polygon("5c4634", (0.3, 0.56), (0.33, 0.56), (0.45, 0.86), (0.42, 0.86)),
        _polygon("5c4634", (0.67, 0.56), (0.7, 0.56), (0.58, 0.86), (0.55, 0.86)),
        _polygon("shaded", (0.2, 0.5), (0.8, 0.5), (0.6, 0.74), (0.4, 0.74)),
        _ellipse("paint", 0.14, 0.0, 0.86, 0.68),
        _ellipse("shaded", 0.3, 0.0, 0.7, 0.7),
        _ellipse("paint", 0.41, 0.0, 0.59, 0.72),
        _box("8a5f3c", 0.4, 0.85, 0.6, 1.0),
    ),
    "campfire": (
        _polygon("fire", (0.5, 0.1), (0.68, 0.5), (0.74, 0.84), (0.26, 0.84), (0.3, 0.56), (0.42, 0.5)),
        _polygon("ffe88a", (0.52, 0.4), (0.62, 0.64), (0.62, 0.84), (0.38, 0.84), (0.4, 0.66)),
        _polygon("5a3a28", (0.08, 0.8), (0.16, 0.72), (0.94, 0.94), (0.9, 1.0)),
        _polygon("74503a", (0.92, 0.8), (0.84, 0.72), (0.06, 0.94), (0.1, 1.0)),
    ),
}  # fmt: skip

_SHINING = {"window", "fire", "ffe88a"}


def draw(
    name: str, size: int, paint: np.ndarray, light: Callable[[np.ndarray], np.ndarray], is_dark: bool, is_snowy: bool
) -> np.ndarray:
    """The thing `name` as (size, size, 4) float32 RGBA in 0..255.

    Args:
        paint: (3,) its own color by daylight.
        light: what the scene's light makes of a color; windows and fire shine by themselves where it `is_dark`.
    """
    colors = {
        "paint": paint,
        "shaded": paint * 0.74 + 8,
        "window": np.array([255.0, 214.0, 110.0]) if is_dark else np.array([126.0, 178.0, 214.0]),
        "fire": np.array([250.0, 130.0, 36.0]),
    }
    side = size * OVERSAMPLING
    image = Image.new("RGBA", (side, side))
    canvas = ImageDraw.Draw(image)
    for shape in DRAWINGS[name]:
        if shape.is_snow and not is_snowy:
            continue
        color = colors[shape.color] if shape.color in colors else np.array(list(bytes.fromhex(shape.color)), float)
        if not (is_dark and shape.color in _SHINING):
            color = light(color.astype(np.float32))
        outline = canvas.polygon if shape.kind == "polygon" else canvas.ellipse
        outline([(x * side, y * side) for x, y in shape.points], fill=tuple(int(value) for value in color.clip(0, 255)))
    return np.asarray(image.reduce(OVERSAMPLING), np.float32)
