"""Conditions that cannot be, each refused with its input and the cure."""

from __future__ import annotations

import pytest
import torch

from condition_models import FACTOR, SIDE
from condition_prompts import (
    CONDITION,
    canvas_box,
    canvas_boxes,
    drawing,
    failure,
    random_depth,
    with_boxes,
    with_image,
)
from devtools.live_server import LiveServer
from prompts import node
from taming.conditioning import Box

DEPTH_IMAGE = random_depth(1)[..., None]
RED = torch.tensor([1.0, 0.0, 0.0]).expand(1, SIDE * FACTOR, SIDE * FACTOR, 3)
WRONG = {
    "a map without a map model": (
        with_image("coordinates.ckpt", DEPTH_IMAGE),
        ("transformer: coordinates.ckpt needs no condition",),
    ),
    "a map for a box model": (with_image("boxes.ckpt", DEPTH_IMAGE), ("transformer: boxes.ckpt", "Box Condition")),
    "a label for a map model": (
        drawing("depth.ckpt", node("TamingClassCondition", label="0")),
        ("transformer: depth.ckpt", "Image Condition"),
    ),
    "no map": (drawing("depth.ckpt", None), ("condition: depth.ckpt", "Image Condition")),
    "no boxes": (drawing("boxes.ckpt", None), ("condition: boxes.ckpt", "Box Condition")),
    "a map of another size": (
        with_image("depth.ckpt", DEPTH_IMAGE, width=8),
        ("condition: the map has 12x12 px", "16x12 px"),
    ),
    "a scaled map on another grid": (
        with_image("scaled.ckpt", DEPTH_IMAGE, width=4),
        ("condition", "12x12 px", "8x12 px"),
    ),
    "maps for another batch": (
        with_image("depth.ckpt", DEPTH_IMAGE.repeat(3, 1, 1, 1), batch_size=2),
        ("condition", "3 items", "batch 2"),
    ),
    "an empty batch": (with_image("depth.ckpt", torch.zeros(0, 8, 8, 3)), ("image", "empty")),
    "two channels": (with_image("depth.ckpt", torch.zeros(1, 8, 8, 2)), ("image", "2 channels")),
    "less than a token": (with_image("depth.ckpt", torch.zeros(1, 8, 1, 3)), ("image", "1x8")),
    "depth in colors": (with_image("depth.ckpt", RED), ("image", "in color")),
    "a photograph as labels": (
        with_image("segmentation.ckpt", torch.rand(1, 8, 8, 3, generator=torch.Generator().manual_seed(0))),
        ("image", "ade20k"),
    ),
    "labels beyond the last": (
        with_image("segmentation.ckpt", torch.full((1, 8, 8, 3), 200 / 255)),
        ("image", "200"),
    ),
    "another palette": (with_image("segmentation.ckpt", RED, "coco_stuff"), ("image", "183 colors", "151")),
    "boxes without a class": (with_boxes(canvas_boxes("person", "")), ("Box 2 of boxes", "labels")),
    "an unknown class": (
        with_boxes(canvas_boxes("person", "trafic light")),
        ("This transformer", "'traffic light'", "boxes, box 2"),
    ),
    "an unknown label": (
        with_boxes(canvas_boxes("", ""), labels="person, unicorn"),
        ("This transformer", "'unicorn'", "input labels"),
    ),
    "too few labels": (with_boxes(canvas_boxes("", ""), labels="1, 2, 3"), ("labels: 3 for 2 boxes",)),
    "no box": (with_boxes([]), ("boxes: there are none",)),
    "boxes of a larger picture": (
        with_boxes(canvas_boxes("person", "0"), width=100, height=100),
        ("boxes, box 1: ", "100x100", "width and height"),
    ),
    "a box of no size": (with_boxes([canvas_box(Box(0, 0.5, 0.5, 0.0, 0.1), "person")]), ("Box 1", "nothing", "boxes")),
    "a box without numbers": (with_boxes([{"x": "left", "metadata": {"desc": "0"}}]), ("boxes, box 1: ", "'left'")),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_is_refused_with_the_input_and_the_cure(probed: LiveServer, what: str):
    prompt, said = WRONG[what]
    message = failure(probed, prompt)
    assert all(part in message for part in said)


def test_a_map_of_another_transformer_is_refused_although_both_read_depth(probed: LiveServer):
    prompt = with_image("depth.ckpt", DEPTH_IMAGE)
    prompt["other"] = node("TamingLoadTransformer", transformer_name="other_depth.ckpt")
    prompt[CONDITION]["inputs"]["transformer"] = ["other", 0]
    message = failure(probed, prompt)
    assert message.startswith("condition: ") and "other_depth.ckpt" in message
