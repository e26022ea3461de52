"""Images of flat and shaded colors, every hue as likely as the next, which photographs and scenes have few of."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np

from .sample import Sample


class SwatchDataset:
    """`count` images of `size_px`, painted when they are asked for; their seeds count up from `first_seed`."""

    class_names: tuple[str, ...] = ()

    def __init__(self, count: int, size_px: int, first_seed: int = 0) -> None:
        self._count, self._size_px, self._first_seed = count, size_px, first_seed

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Sample:
        return Sample(paint_swatch(self._first_seed + range(self._count)[index], self._size_px))

    @property
    def fingerprint(self) -> str:
        """A hash of what they follow from; the number before goes up when the same seed is painted otherwise."""
        return hashlib.sha256(repr((1, self._count, self._size_px, self._first_seed)).encode()).hexdigest()


def paint_swatch(seed: int, size_px: int) -> np.ndarray:
    """The image of a `seed` of 0 or more, (size, size, 3) uint8: a chart, one color, a gradient, discs or stripes."""
    rng = np.random.default_rng(seed)
    paint = PAINTERS[int(rng.integers(len(PAINTERS)))]
    return (paint(rng, size_px) + 0.5).astype(np.uint8)


def draw_colors(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Colors (*shape, 3) float32 in 0 to 255: any hue, mostly saturated and bright."""
    hue, saturation, value = rng.random((3, *shape, 1), np.float32)
    saturation, value = np.sqrt(saturation), np.sqrt(value)
    sector = (6 * hue + np.array([5, 3, 1], np.float32)) % 6  # of the hexagon of HSV, for red, green and blue
    return 255 * value * (1 - saturation * np.clip(np.minimum(sector, 4 - sector), 0, 1))


def paint_chart(rng: np.random.Generator, size: int) -> np.ndarray:
    """A grid of patches, of columns and rows of different widths."""
    columns, rows = (_bands(rng, size) for _ in range(2))
    return draw_colors(rng, rows.max() + 1, columns.max() + 1)[rows[:, None], columns]


def _bands(rng: np.random.Generator, size: int) -> np.ndarray:
    """The number of the band that each of `size` pixels belongs to; 2 to 12 bands."""
    edges = np.zeros(size, np.int64)
    edges[rng.integers(1, size, rng.integers(1, 12))] = 1
    return edges.cumsum()


def paint_plain(rng: np.random.Generator, size: int) -> np.ndarray:
    return np.broadcast_to(draw_colors(rng), (size, size, 3))


def paint_gradient(rng: np.random.Generator, size: int) -> np.ndarray:
    """From one color to another, across or down, or between four in the corners."""
    corners = draw_colors(rng, 2, 2)
    kind = rng.integers(3)
    if kind < 2:
        corners = np.broadcast_to(corners[:1] if kind else corners[:, :1], (2, 2, 3))
    along = np.linspace(0, 1, size, dtype=np.float32)[:, None]
    left, right = (corners[0, side] + along * (corners[1, side] - corners[0, side]) for side in (0, 1))  # (size, 3)
    return left[:, None] + along * (right - left)[:, None]


def paint_discs(rng: np.random.Generator, size: int) -> np.ndarray:
    """One to six discs on one color."""
    image = np.array(paint_plain(rng, size))
    for color in draw_colors(rng, int(rng.integers(1, 7))):
        x, y = rng.random(2) * size
        radius = (0.05 + 0.3 * rng.random()) * size
        left, top = (max(0, int(center - radius)) for center in (x, y))
        part = image[top : int(y + radius) + 2, left : int(x + radius) + 2]
        rows, columns = np.ogrid[top : top + part.shape[0], left : left + part.shape[1]]
        cover = np.clip(radius - np.hypot(rows - y, columns - x) + 0.5, 0, 1)[..., None].astype(np.float32)
        part += cover * (color - part)
    return image


def paint_stripes(rng: np.random.Generator, size: int) -> np.ndarray:
    """Stripes of two colors in any direction, up to half the image wide."""
    first, second = draw_colors(rng, 2)
    period, angle = size / 16 ** rng.random(), 2 * np.pi * rng.random()
    rows, columns = (axis.astype(np.float32) for axis in np.ogrid[:size, :size])
    place = rows * (np.sin(angle) / period) + columns * (np.cos(angle) / period) + rng.random()  # (size, size)
    edge = (np.abs(place % 1 - 0.5) - 0.25) * period  # distance to the nearest edge in pixels, negative in the second
    cover = np.clip(edge + 0.5, 0, 1)[..., None]
    return second + cover * (first - second)


PAINTERS: tuple[Callable[[np.random.Generator, int], np.ndarray], ...] = (
    paint_chart,
    paint_plain,
    paint_gradient,
    paint_discs,
    paint_stripes,
)
