"""The node for boxes: objects and where they are, from the host's box editor and its detectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from comfy_api.latest import io

from ..taming.conditioning import Box, BoxCondition
from ..taming.conditioning.boxes import encode_boxes
from ..taming.conditioning.labels import find_labels, split_names
from ..taming.errors import ConditionError
from ..taming.text import shorten
from .conditions import BOX_CONDITION, check_node
from .errors import blaming
from .types import Condition, ConditionSocket, TransformerHandle, TransformerSocket

MAX_SIDE_PX = 16384  # the host's own limit
MAX_PLACE = 2**53  # what a floating-point number counts to
ELEMENT_UNIT = 1000  # the host's elements measure in thousandths of the picture
SIDES = ("x", "y", "width", "height")


class TamingBoxCondition(io.ComfyNode):
    """The host's boxes to a condition."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TamingBoxCondition",
            display_name=BOX_CONDITION,
            category="Taming/conditioning",
            description="Tells a transformer that was trained on scenes which objects to draw where.",
            search_aliases=[
                "bounding boxes",
                "regional prompt",
                "layout to image",
                "scene layout",
                "objects",
                "taming",
            ],
            inputs=[
                TransformerSocket.Input("transformer", tooltip="The transformer that will draw the objects."),
                io.MultiType.Input(
                    io.BoundingBoxes.Input("boxes", socketless=False),
                    [io.BoundingBox, io.Array],
                    tooltip="Draw a box for each object and write its class as the description: person, car, 17. Or "
                    "connect elements of Create Bounding Boxes, or the boxes of a detector.",
                ),
                io.String.Input(
                    "labels",
                    optional=True,
                    default="",
                    placeholder="person, car",
                    tooltip="Classes by name or number, separated by commas: one for all boxes, or one for each in "
                    "their order. Empty takes what the boxes say themselves.",
                ),
                *(
                    io.Int.Input(
                        side,
                        optional=True,
                        default=1024,
                        min=1,
                        max=MAX_SIDE_PX,
                        step=1,
                        tooltip=f"{side.capitalize()} of the picture that the boxes are measured in, in pixels: of "
                        "the canvas here, or of the picture that a detector saw. Any picture size can be drawn.",
                    )
                    for side in ("width", "height")
                ),
            ],
            outputs=[
                ConditionSocket.Output("condition", display_name="CONDITION", tooltip="For Sample Tokens."),
            ],
        )

    @classmethod
    def execute(
        cls, transformer: TransformerHandle, boxes: Any, labels: str = "", width: int = 1024, height: int = 1024
    ) -> io.NodeOutput:
        with blaming("transformer"):
            config = check_node(transformer, BOX_CONDITION)
        assert isinstance(config, BoxCondition)  # check_node
        with blaming("boxes"):
            frames = frames_of(boxes)
        layouts = tuple(read_layout(config, frame, labels, (width, height)) for frame in frames)
        return io.NodeOutput(Condition(layouts, transformer.name, config))


def frames_of(boxes: object) -> list[list[Any]]:
    """The boxes of each picture; the host hands over one box, a list of them, or a list for each picture.

    Raises: ConditionError if it is none of these, or there is no box at all.
    """
    if isinstance(boxes, Mapping):
        boxes = [boxes]
    if not isinstance(boxes, list):
        raise ConditionError(f"expected a list of boxes, found {shorten(boxes)}.")
    frames = boxes if boxes and all(isinstance(frame, list) for frame in boxes) else [boxes]
    if not any(frames):
        raise ConditionError("there are none. Draw a box for each object, or connect boxes.")
    return frames


def read_layout(config: BoxCondition, entries: list[Any], labels: str, size_px: tuple[int, int]) -> tuple[Box, ...]:
    """The objects of one picture from the host's boxes, which are measured in a picture of `size_px`, (width, height).

    Raises: ConditionError, naming the input and the box that is to blame.
    """
    layout = []
    names = label_names(entries, labels, config.names)
    for number, (entry, name) in enumerate(zip(entries, names, strict=True), start=1):
        with blaming(f"boxes, box {number}"):
            place = place_of(entry, size_px)
        with blaming("labels" if labels.strip() else f"boxes, box {number}"):
            (label,) = find_labels(config, config.boxes.num_tokens, [name])
        layout.append(Box(label, *place))
    with blaming("boxes"):  # sampling would refuse them too, when they are shuffled and their numbers mean nothing
        encode_boxes(config.boxes, layout[: config.boxes.max_objects])
    return tuple(layout)


def label_names(entries: list[Any], labels: str, classes: Sequence[str]) -> list[str]:
    """The name of each box's class, of `classes`: from `labels` where there are any, else the box's own.

    Raises: ConditionError if there are not as many as boxes, or a box has none.
    """
    if labels.strip():
        names = split_names(labels, classes)
        names = names * len(entries) if len(names) == 1 else names
        if len(names) != len(entries):
            raise ConditionError(
                f"labels: {len(names)} for {len(entries)} boxes. Give one for all of them, or one for each in order."
            )
        return names
    names = [own_name(entry) for entry in entries]
    if "" in names:
        raise ConditionError(
            f"Box {names.index('') + 1} of boxes does not say what it is. Write a class as its description, or list "
            "the classes of all boxes in labels."
        )
    return names


def own_name(entry: object) -> str:
    """What a detector or the person at the editor says that a box is."""
    if not isinstance(entry, Mapping):
        return ""
    metadata = entry.get("metadata")
    described = metadata if isinstance(metadata, Mapping) else entry
    return str(entry.get("label") or described.get("desc") or described.get("text") or "").strip()


def place_of(entry: object, size_px: tuple[int, int]) -> tuple[float, float, float, float]:
    """Left edge, upper edge, width and height of a box, as fractions of the picture.

    Raises: ConditionError if it has no such numbers, or was measured in a larger picture.
    """
    if not isinstance(entry, Mapping):
        raise ConditionError(f"expected {', '.join(SIDES)}, found {shorten(entry)}.")
    corners = entry.get("bbox")
    found = list(corners) if isinstance(corners, (list, tuple)) else [entry.get(side) for side in SIDES]
    numbers = [
        float(number)
        for number in found
        if isinstance(number, float) or (isinstance(number, int) and abs(number) <= MAX_PLACE)
    ]
    if len(found) != 4 or len(numbers) != 4:
        raise ConditionError(f"expected four numbers ({', '.join(SIDES)}), found {shorten(found)}.")
    if corners is not None:
        top, left, bottom, right = (number / ELEMENT_UNIT for number in numbers)
        return left, top, right - left, bottom - top
    x, y, box_width, box_height = numbers
    width, height = size_px
    if x >= width or y >= height:
        raise ConditionError(
            f"it begins at {x:g}, {y:g}, beyond a picture of {width}x{height} px. Set width and height to the size of "
            "the picture that the boxes are measured in."
        )
    return x / width, y / height, box_width / width, box_height / height
