"""The canvas a scene is painted on: color, segments and depth change together."""

from dataclasses import dataclass

import numpy as np

SEGMENT_NAMES: tuple[str, ...] = (
    "sky", "sun_moon", "cloud", "mountain", "ground", "tree", "water", "building", "object",
)  # fmt: skip
SKY, SUN_MOON, CLOUD, MOUNTAIN, GROUND, TREE, WATER, BUILDING, OBJECT = range(len(SEGMENT_NAMES))


@dataclass(frozen=True)
class Window:
    """A rectangle of the canvas with the coordinates of its pixel centers, in fractions of the canvas."""

    rows: slice
    columns: slice
    x: np.ndarray  # (1, w)
    y: np.ndarray  # (h, 1)


class Canvas:
    """Color (3, n, n) in 0..255, segment ids (n, n) and depth (n, n); n is `supersampling` times `size_px`."""

    def __init__(self, size_px: int, supersampling: int = 2) -> None:
        self.supersampling = supersampling
        self.size = size_px * supersampling
        self.color = np.zeros((3, self.size, self.size), np.float32)
        self.segments = np.zeros((self.size, self.size), np.uint8)
        self.depth = np.ones((self.size, self.size), np.float32)

    def window(self, x0: float = 0.0, y0: float = 0.0, x1: float = 1.0, y1: float = 1.0) -> Window:
        """The part of the canvas inside the given fractions; empty when that is off the canvas."""
        first, last = self._pixel(y0), self._pixel(y1, up=True)
        left, right = self._pixel(x0), self._pixel(x1, up=True)
        y = (np.arange(first, last, dtype=np.float32)[:, None] + 0.5) / self.size
        x = (np.arange(left, right, dtype=np.float32)[None, :] + 0.5) / self.size
        return Window(slice(first, last), slice(left, right), x, y)

    def edge(self, distance: np.ndarray) -> np.ndarray:
        """Coverage in [0, 1] of a shape from the distance to its outline, positive inside."""
        return np.clip(distance * self.size + 0.5, 0.0, 1.0)

    def blend(self, window: Window, coverage: np.ndarray, color: np.ndarray) -> None:
        """Mix `color`, (3,) or (3, h, w), into the window; the surfaces behind it stay as they are."""
        region = self.color[:, window.rows, window.columns]
        region += coverage * (_planes(color) - region)

    def paint(
        self, window: Window, coverage: np.ndarray, color: np.ndarray, segment: int, depth: np.ndarray | float
    ) -> None:
        """Put a solid surface into the window: its color, and where it covers more than half, segment and depth."""
        self.blend(window, coverage, color)
        solid = coverage > 0.5
        np.copyto(self.segments[window.rows, window.columns], np.uint8(segment), where=solid)
        np.copyto(self.depth[window.rows, window.columns], np.float32(depth), where=solid)

    def shrink(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Image (H, W, 3) uint8, segments (H, W) uint8 and depth (H, W) float32 of the size asked for."""
        factor = self.supersampling
        side = self.size // factor
        color = self.color.reshape(3, side, factor, side, factor).mean((2, 4)) if factor > 1 else self.color
        image = np.clip(color + 0.5, 0.0, 255.0).astype(np.uint8).transpose(1, 2, 0)
        return np.ascontiguousarray(image), self.thin(self.segments).copy(), self.thin(self.depth).copy()

    def thin(self, values: np.ndarray) -> np.ndarray:
        """One of the samples of `values`, (n, n), for each pixel, (H, W)."""
        step = slice(self.supersampling // 2, None, self.supersampling)
        return values[step, step]

    def _pixel(self, position: float, up: bool = False) -> int:
        scaled = position * self.size
        return int(np.clip(np.ceil(scaled) if up else np.floor(scaled), 0, self.size))


def mix(a: np.ndarray, b: np.ndarray, amount: np.ndarray | float) -> np.ndarray:
    """From color `a` to color `b`; with colors (3, h, w) or an `amount` (h, w) it gives (3, h, w)."""
    if max(np.ndim(amount), a.ndim, b.ndim) > 1:
        a, b = _planes(a), _planes(b)
    return a + (b - a) * amount


def brighten(color: np.ndarray, amount: np.ndarray) -> np.ndarray:
    """`color`, (3,) or (3, h, w), with `amount`, (h, w) in 0..255, added to all its channels."""
    return _planes(color) + amount


def _planes(color: np.ndarray) -> np.ndarray:
    return color.reshape(3, 1, 1) if color.ndim == 1 else color
