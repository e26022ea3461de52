"""What every painter of a scene shares: canvas, noise, palette, horizon and light."""

from dataclasses import dataclass, field

import numpy as np

from .canvas import Canvas
from .noise import Noise


@dataclass(frozen=True)
class Palette:
    """Colors of one scene, float32 (3,) in 0..255."""

    zenith: np.ndarray
    horizon: np.ndarray
    far: np.ndarray  # distant land
    near: np.ndarray  # close land
    ground: np.ndarray
    foliage: np.ndarray
    water: np.ndarray
    glow: np.ndarray  # sun, moon, lava or lamps


@dataclass(frozen=True)
class Stage:
    """The setting of one scene; lengths are fractions of the canvas, y grows downwards."""

    canvas: Canvas
    noise: Noise
    palette: Palette
    horizon: float  # y where land or water begins
    sun_x: float
    light: float  # -1 light from the left, 1 from the right
    wood: np.ndarray = field(default_factory=lambda: np.array([98.0, 70.0, 48.0], np.float32))  # of trunks

    @property
    def rng(self) -> np.random.Generator:
        """The scene's only source of randomness."""
        return self.noise.rng

    def between(self, low: float, high: float) -> float:
        """A uniform draw."""
        return float(self.rng.uniform(low, high))

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return bool(self.rng.random() < probability)

    def segment_at(self, x: float, y: float) -> int:
        """What is painted at the point (x, y) so far; a point off the canvas counts as its nearest pixel."""
        return int(self.canvas.segments[self._pixel(x, y)])

    def depth_at(self, x: float, y: float) -> float:
        """How far away what is painted at the point (x, y) is."""
        return float(self.canvas.depth[self._pixel(x, y)])

    def _pixel(self, x: float, y: float) -> tuple[int, int]:
        row, column = np.clip(np.array([y, x]) * self.canvas.size, 0, self.canvas.size - 1).astype(int).tolist()
        return row, column

    def nearness(self, y: np.ndarray | float) -> np.ndarray:
        """0 at the horizon, 1 at the lower edge of the picture."""
        return np.clip((y - self.horizon) / (1.0 - self.horizon), 0.0, 1.0)

    def ground_depth(self, y: np.ndarray | float) -> np.ndarray:
        """Depth of level ground seen at height `y`: 0.6 at the horizon, 0.05 at the viewer's feet."""
        return 0.6 - 0.55 * self.nearness(y)
