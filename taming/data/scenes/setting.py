"""A stage with the composition that is painted on it, and what of that has become visible."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .canvas import GROUND, Canvas
from .composition import Composition, Thing
from .light import PAINTS, SNOW, Light, make_palette
from .noise import Noise
from .stage import Stage


@dataclass(frozen=True)
class Standing:
    """Where a thing stands; lengths are fractions of the picture."""

    thing: Thing
    x: float  # middle
    y: float  # foot
    size: float  # of the square around it
    depth: float

    def overlap(self, other: Standing) -> float:
        """What both squares cover, as a share of the smaller one."""
        width = min((self.size + other.size) / 2 - abs(self.x - other.x), self.size, other.size)
        height = min(self.y, other.y) - max(self.y - self.size, other.y - other.size)
        return max(width, 0.0) * max(height, 0.0) / min(self.size, other.size) ** 2


@dataclass(frozen=True, kw_only=True)
class Setting(Stage):
    """What painters of a composed scene share; `seen` grows while they work."""

    composition: Composition
    daylight: Light  # what the scene's light makes of a color by daylight
    seen: list[Thing] = field(default_factory=list)  # things that are visible
    occupied: list[Standing] = field(default_factory=list)  # by things that are painted later

    @property
    def is_dark(self) -> bool:
        return self.composition.time == "night"

    @property
    def is_snowy(self) -> bool:
        return self.composition.season == "winter"

    @property
    def snow(self) -> np.ndarray:
        """The color of snow in this light."""
        return self.daylight.on(SNOW)

    def paint_of(self, color: str | None) -> np.ndarray:
        """A color by its name, not lit; white without one."""
        return PAINTS[color or "white"]

    def is_free(self, x: float, y: float, half: float) -> bool:
        """Whether a plant of the width `half` to both sides may grow at (x, y): on the ground, before no thing."""
        if self.segment_at(x, y) != GROUND:
            return False
        return all(y < other.y or abs(x - other.x) > half + 0.5 * other.size for other in self.occupied)

    def show(self, name: str, color: str | None = None) -> None:
        """Note that a thing can be seen."""
        if all(thing.name != name for thing in self.seen):
            self.seen.append(Thing(name, color))


def make_setting(composition: Composition, rng: np.random.Generator, size_px: int) -> Setting:
    """An empty stage for a composition."""
    canvas = Canvas(size_px, supersampling=max(1, 256 // size_px))
    palette, light = make_palette(composition, rng)
    sun_x = float(rng.uniform(0.14, 0.86))
    return Setting(
        canvas=canvas,
        noise=Noise(rng, canvas.size),
        palette=palette,
        horizon=float(rng.uniform(0.5, 0.62)),
        sun_x=sun_x,
        light=1.0 if sun_x > 0.5 else -1.0,
        wood=light.on(np.array([98.0, 70.0, 48.0], np.float32)),
        composition=composition,
        daylight=light,
    )
