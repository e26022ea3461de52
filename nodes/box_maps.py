"""The node that makes a segmentation map of boxes, so that map models draw by what a person lays out."""

from __future__ import annotations

import math
from typing import Any

import torch
from comfy_api.latest import io

from ..taming.conditioning import Box
from ..taming.conditioning.labels import vocabulary_label
from ..taming.conditioning.segmentation import labels_from_boxes, picture_of_labels
from ..taming.conditioning.vocabularies import PALETTES, Vocabulary, vocabulary
from ..taming.errors import ConditionError
from .boxes import MAX_SIDE_PX, frames_of, label_names, place_of
from .errors import blaming
from .host_memory import check_memory

DEFAULT_PALETTE = "scenes"  # of the embedded map model
DEFAULT_SIDE_PX = 128  # likewise
MAP_BYTES = 24  # for each pixel while maps are made; half of them are the result


class TamingBoxesToMap(io.ComfyNode):
    """The host's boxes to an IMAGE."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TamingBoxesToMap",
            display_name="Boxes to Map (Taming)",
            category="Taming/conditioning",
            description="Draws a segmentation map of boxes, for Image Condition: what stands where, without a paint "
            "program.",
            search_aliases=[
                "segmentation map",
                "layout to image",
                "regional prompt",
                "bounding boxes",
                "palette",
                "taming",
            ],
            inputs=[
                io.MultiType.Input(
                    io.BoundingBoxes.Input("boxes", socketless=False),
                    [io.BoundingBox, io.Array],
                    tooltip="Draw a box for each thing and write its class as the description: mountain, tree, water. "
                    "A later box lies over those before it. Or connect elements of Create Bounding Boxes, or the boxes "
                    "of a detector.",
                ),
                io.Combo.Input(
                    "palette",
                    default=DEFAULT_PALETTE,
                    options=list(PALETTES),
                    tooltip="Which classes there are, and their colors: those of the pictures that the transformer was "
                    "trained on. scenes is the embedded model's: sky, sun_moon, cloud, mountain, ground, tree, water, "
                    "building, object.",
                ),
                *_optional_inputs(),
            ],
            outputs=[io.Image.Output("image", display_name="IMAGE", tooltip="The map, for Image Condition.")],
        )

    @classmethod
    def execute(
        cls,
        boxes: Any,
        palette: str,
        labels: str = "",
        width: int = DEFAULT_SIDE_PX,
        height: int = DEFAULT_SIDE_PX,
        background: str = "",
    ) -> io.NodeOutput:
        with blaming("boxes"):
            frames = frames_of(boxes)
        check_memory(len(frames) * width * height * MAP_BYTES)
        classes = vocabulary(palette)
        with blaming("background"):
            behind = vocabulary_label(classes, background.strip() or 0)
        layouts = [read_boxes(classes, frame, labels, (width, height)) for frame in frames]
        maps = (labels_from_boxes(layout, behind, height, width) for layout in layouts)
        return io.NodeOutput(torch.cat([picture_of_labels(each[None], classes) for each in maps]))


def _optional_inputs() -> list[io.Input]:
    return [
        io.String.Input(
            "labels",
            optional=True,
            default="",
            placeholder="mountain, water",
            tooltip="Classes by name or number, separated by commas: one for all boxes, or one for each in "
            "their order. Empty takes what the boxes say themselves.",
        ),
        *(
            io.Int.Input(
                side,
                optional=True,
                default=DEFAULT_SIDE_PX,
                min=1,
                max=MAX_SIDE_PX,
                step=1,
                tooltip=f"{side.capitalize()} of the map in pixels, which the boxes are measured in. It is the "
                "size of the picture to draw: 128 for the embedded model.",
            )
            for side in ("width", "height")
        ),
        io.String.Input(
            "background",
            optional=True,
            default="",
            placeholder="sky",
            tooltip="Class of what no box covers. Empty is the first of the palette, which is sky for scenes "
            "and unlabeled for most others.",
        ),
    ]


def read_boxes(classes: Vocabulary, entries: list[Any], labels: str, size_px: tuple[int, int]) -> list[Box]:
    """The boxes of one picture, measured in one of `size_px`, (width, height).

    Raises: ConditionError, naming the input and the box that is to blame.
    """
    layout = []
    names = label_names(entries, labels, classes.names)
    for number, (entry, name) in enumerate(zip(entries, names, strict=True), start=1):
        with blaming(f"boxes, box {number}"):
            place = place_of(entry, size_px)
            if not all(map(math.isfinite, place)) or min(place[2:]) <= 0:
                raise ConditionError("it covers nothing. Give it finite numbers, width and height above 0.")
        with blaming("labels" if labels.strip() else f"boxes, box {number}"):
            layout.append(Box(vocabulary_label(classes, name), *place))
    return layout
