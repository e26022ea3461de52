"""Procedural landscapes: a picture with its class, segments, depth and object boxes from one call."""

from dataclasses import dataclass, replace

import numpy as np

from .canvas import Canvas
from .class_objects import SceneBox, place_objects
from .class_palettes import SCENE_CLASSES, blend_palette
from .class_recipes import RECIPES
from .noise import Noise
from .stage import Stage

SIZE_STEP_PX = 16


@dataclass(frozen=True)
class Scene:
    """A landscape and everything known about it."""

    image: np.ndarray  # (H, W, 3) uint8
    segmentation: np.ndarray  # (H, W) uint8 into SEGMENT_NAMES
    depth: np.ndarray  # (H, W) float32, 0 near to 1 far; the sky is 1
    boxes: tuple[SceneBox, ...]  # of the placed objects only, never of scenery
    label: int  # into SCENE_CLASSES


def render_scene(label: int, seed: int, size_px: int = 128, num_objects: int = 0) -> Scene:
    """Paint the scene (`label`, `seed`), the same at every size but for its resolution.

    Up to `num_objects` objects stand in it, fewer where there is no room; they leave the scene around them unchanged.

    Raises:
        ValueError: for a label, seed, size or number of objects outside the range that the message names.
    """
    _check_request(label, seed, size_px, num_objects)
    stage = _set_stage(label, seed, size_px)
    RECIPES[SCENE_CLASSES[label]](stage)
    # Objects draw from a stream of their own, so that asking for them leaves the scenery as it is.
    rng = np.random.Generator(np.random.PCG64([label, seed, 1]))
    placing = replace(stage, noise=Noise(rng, stage.canvas.size))
    boxes = place_objects(placing, SCENE_CLASSES[label], num_objects)
    return Scene(*stage.canvas.shrink(), boxes, label)


def _check_request(label: int, seed: int, size_px: int, num_objects: int) -> None:
    if not 0 <= label < len(SCENE_CLASSES):
        raise ValueError(
            f"Unknown scene label {label}: labels run from 0 ({SCENE_CLASSES[0]}) to "
            f"{len(SCENE_CLASSES) - 1} ({SCENE_CLASSES[-1]}). Choose one of SCENE_CLASSES by its position."
        )
    if size_px <= 0 or size_px % SIZE_STEP_PX:
        raise ValueError(
            f"Scenes cannot be {size_px} px large: the size must be a positive multiple of {SIZE_STEP_PX}. "
            f"Try {max(round(size_px / SIZE_STEP_PX), 2) * SIZE_STEP_PX}."
        )
    if seed < 0:
        raise ValueError(f"The scene seed is {seed}, but seeds are not negative. Use 0 or more.")
    if num_objects < 0:
        raise ValueError(f"A scene cannot hold {num_objects} objects. Use 0 or more.")


def _set_stage(label: int, seed: int, size_px: int) -> Stage:
    """An empty stage for the scene (`label`, `seed`)."""
    rng = np.random.Generator(np.random.PCG64([label, seed]))
    palette = blend_palette(SCENE_CLASSES[label], rng)
    canvas = Canvas(size_px)
    sun_x = float(rng.uniform(0.12, 0.88))
    return Stage(
        canvas=canvas,
        noise=Noise(rng, canvas.size),
        palette=palette,
        horizon=float(rng.uniform(0.5, 0.66)),
        sun_x=sun_x,
        light=1.0 if sun_x > 0.5 else -1.0,
    )
