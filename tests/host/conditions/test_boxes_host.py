"""Boxes in the running server: drawn, edited, detected."""

from __future__ import annotations

import json

import numpy as np

from condition_models import expected
from condition_prompts import CONDITION, LAYOUT, canvas_box, canvas_boxes, drawn, with_boxes
from devtools.live_server import LiveServer
from prompts import node


def test_drawn_boxes_tell_their_classes_by_description_and_in_any_unit(probed: LiveServer):
    by_library = expected(probed, "boxes.ckpt", boxes=LAYOUT)
    assert not np.array_equal(by_library, expected(probed, "boxes.ckpt", boxes=LAYOUT[:1]))
    prompts = [
        with_boxes(canvas_boxes("person", "Traffic Light")),
        with_boxes(canvas_boxes("0", "1", width=64, height=32), width=64, height=32),
        with_boxes(canvas_boxes("", ""), labels="person, traffic_light"),
        with_boxes(canvas_boxes("cat", "dog"), labels="0, 1"),
    ]
    assert all(np.array_equal(drawn(probed.watch(prompt)), by_library) for prompt in prompts)


def test_the_outputs_of_the_hosts_box_editor_can_be_connected(probed: LiveServer):
    by_library = expected(probed, "boxes.ckpt", boxes=LAYOUT)
    prompt = with_boxes([])
    editor = {"__value__": canvas_boxes("person", "traffic light", width=512, height=256)}
    prompt["editor"] = node("CreateBoundingBoxes", width=512, height=256, editor_state=editor)
    prompt[CONDITION]["inputs"]["boxes"] = ["editor", 2]
    assert np.array_equal(drawn(probed.watch(prompt)), by_library)
    prompt[CONDITION]["inputs"].update(boxes=["editor", 1], labels="person, traffic light", width=512, height=256)
    assert np.array_equal(drawn(probed.watch(prompt)), by_library)


def test_boxes_of_a_detector_bring_their_classes_and_a_layout_for_each_picture(probed: LiveServer):
    """RT-DETR gives a list for each picture, in pixels, with names of COCO."""
    first = [{**canvas_box(LAYOUT[0], "", 640, 480), "label": "person", "score": 0.9}]
    both = [*first, {**canvas_box(LAYOUT[1], "", 640, 480), "label": "traffic light", "score": 0.8}]
    prompt = with_boxes([], width=640, height=480, batch_size=2)
    prompt["detector"] = node("ProbeBoxes", boxes=json.dumps([both, first]))
    prompt[CONDITION]["inputs"]["boxes"] = ["detector", 0]
    assert np.array_equal(drawn(probed.watch(prompt)), expected(probed, "boxes.ckpt", boxes=[LAYOUT, LAYOUT[:1]]))
