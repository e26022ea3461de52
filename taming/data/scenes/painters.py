"""The two kinds of procedural scenes as numbered samples: compositions with captions, and twelve classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..sample import Sample, SampleBox
from .captions import tell
from .class_objects import SceneBox
from .class_palettes import SCENE_CLASSES
from .class_scenes import render_scene
from .drawings import DRAWINGS
from .painting import paint_scene

# The labels of boxes, by position; models depend on the order.
OBJECT_NAMES = ("balloon", "boat", "cactus", "house", "lighthouse", "rock", "snowman", "tent")
THING_NAMES = tuple(DRAWINGS)


class ScenePainter(Protocol):
    """Paints scene after scene; two that are equal paint the same."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """What labels stand for; empty without labels."""
        ...

    @property
    def box_names(self) -> tuple[str, ...]:
        """What the labels of boxes stand for."""
        ...

    def paint(self, index: int) -> Sample:
        """Scene `index` and everything known about it."""
        ...


@dataclass(frozen=True)
class CompositionPainter:
    """Places at a time, in a season and weather, with things in them, each with a caption.

    With `is_held_out` they are those that join words which never meet in training.
    """

    size_px: int = 256
    first_seed: int = 0
    is_held_out: bool = False

    class_names: tuple[str, ...] = ()
    box_names: tuple[str, ...] = THING_NAMES

    def paint(self, index: int) -> Sample:
        seed = self.first_seed + index
        scene = paint_scene(seed, self.size_px, self.is_held_out)
        return Sample(
            scene.image,
            caption=tell(scene.composition, np.random.default_rng((seed, 2))),
            segmentation=scene.segmentation,
            depth=1 - scene.depth,
            boxes=_sample_boxes(scene.boxes, self.box_names),
        )


@dataclass(frozen=True)
class ClassPainter:
    """Scenes of the twelve classes in turn, with up to `num_objects` objects."""

    size_px: int = 128
    first_seed: int = 0
    num_objects: int = 0

    class_names: tuple[str, ...] = SCENE_CLASSES
    box_names: tuple[str, ...] = OBJECT_NAMES

    def paint(self, index: int) -> Sample:
        label = index % len(SCENE_CLASSES)
        scene = render_scene(label, self.first_seed + index, self.size_px, self.num_objects)
        return Sample(
            scene.image,
            label,
            segmentation=scene.segmentation,
            depth=1 - scene.depth,
            boxes=_sample_boxes(scene.boxes, self.box_names),
        )


def _sample_boxes(boxes: Sequence[SceneBox], names: tuple[str, ...]) -> tuple[SampleBox, ...]:
    return tuple(SampleBox(names.index(box.name), box.x0, box.y0, box.x1 - box.x0, box.y1 - box.y0) for box in boxes)
