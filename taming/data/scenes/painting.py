"""A composed scene, painted: image, caption facts, segments, depth and boxes from one seed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .class_objects import SceneBox
from .composition import Composition, Thing, draw_composition
from .places import paint_land, paint_plants
from .setting import make_setting
from .things import paint_things, place_things
from .weather import paint_heaven, paint_weather


@dataclass(frozen=True)
class PaintedScene:
    """A landscape and everything known about it."""

    image: np.ndarray  # (H, W, 3) uint8
    segmentation: np.ndarray  # (H, W) uint8 into SEGMENT_NAMES
    depth: np.ndarray  # (H, W) float32, 0 near to 1 far; the sky is 1
    boxes: tuple[SceneBox, ...]  # of things, never of scenery
    composition: Composition  # with those things only that can be seen


def paint_scene(seed: int, size_px: int = 256, held_out: bool = False) -> PaintedScene:
    """Draw a composition from `seed` and paint it; with `held_out` one that joins words which training keeps apart."""
    rng = np.random.default_rng((seed, int(held_out)))
    return paint_composition(draw_composition(rng, held_out), rng, size_px)


def paint_composition(composition: Composition, rng: np.random.Generator, size_px: int = 256) -> PaintedScene:
    """Paint `composition`, whose places and shapes are drawn from `rng`, the same at every size."""
    setting = make_setting(composition, rng, size_px)
    paint_heaven(setting)
    paint_land(setting)
    place_things(setting)
    paint_plants(setting)
    boxes = paint_things(setting)
    paint_weather(setting)
    image, segmentation, depth = setting.canvas.shrink()
    seen: tuple[Thing, ...] = tuple(setting.seen)
    return PaintedScene(image, segmentation, depth, boxes, replace(composition, things=seen))
