"""Smooth random curves and fields, drawn once per scene and shifted for reuse."""

from functools import cached_property

import numpy as np
from PIL import Image


class Noise:
    """Fractal noise for one square canvas of `size` pixels; the number of draws does not depend on `size`.

    All results are float32 in [0, 1]. Fields wrap around at the edges, so a shifted field is as good as a new one.
    """

    def __init__(self, rng: np.random.Generator, size: int) -> None:
        self.rng = rng
        self.size = size

    def curve(self, base: int, octaves: int = 4, roughness: float = 0.5) -> np.ndarray:
        """A (size,) curve with about `base` bumps across the canvas."""
        total = np.zeros(self.size, np.float32)
        for octave in range(octaves):
            cells = base << octave
            lattice = self.rng.random((1, cells + 4), dtype=np.float32)
            total += _stretch(lattice, (2, 0, 2 + cells, 1), (self.size, 1))[0] * roughness**octave
        return _normalized(total)

    def field(self) -> np.ndarray:
        """A (size, size) field of round blotches, about three across."""
        return self._shifted(self._blotches)

    def streaks(self) -> np.ndarray:
        """A (size, size) field drawn out horizontally, as cirrus or sand."""
        return self._shifted(self._streaks)

    @cached_property
    def _blotches(self) -> np.ndarray:
        return self._tile(rows=3, columns=3, octaves=4)

    @cached_property
    def _streaks(self) -> np.ndarray:
        return self._tile(rows=8, columns=2, octaves=3)

    def _tile(self, rows: int, columns: int, octaves: int) -> np.ndarray:
        total = np.zeros((self.size, self.size), np.float32)
        for octave in range(octaves):
            height, width = rows << octave, columns << octave
            lattice = np.pad(self.rng.random((height, width), dtype=np.float32), 2, mode="wrap")
            total += _stretch(lattice, (2, 2, 2 + width, 2 + height), (self.size, self.size)) * 0.5**octave
        return _normalized(total)

    def _shifted(self, tile: np.ndarray) -> np.ndarray:
        down, right = (self.rng.random(2) * self.size).astype(int)
        return np.roll(tile, (down, right), axis=(0, 1))


def _stretch(lattice: np.ndarray, box: tuple[int, int, int, int], size: tuple[int, int]) -> np.ndarray:
    # Pillow's filter reads past `box`, so the padding around it makes tiles seamless.
    return np.asarray(Image.fromarray(lattice).resize(size, Image.Resampling.BICUBIC, box=box))


def _normalized(values: np.ndarray) -> np.ndarray:
    low, high = values.min(), values.max()
    return (values - low) / (high - low + 1e-6)
