"""Boxes to Map in the running server: the map is the boxes, a map model draws by it, and what is wrong is named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from condition_prompts import canvas_box
from devtools.live_server import LiveServer
from prompts import DECODE, EMPTY, LOAD, SAMPLE, SHOW, Prompt, node, pixels
from taming.conditioning import Box
from taming.conditioning.vocabularies import vocabulary

MAP_MODEL = "embedded/scenes_segmentation_transformer.safetensors"
SIDE = 128
SCENES = vocabulary("scenes")


def boxes(*classes: str) -> list[dict[str, Any]]:
    """The lower half, and the middle over it, as the host's canvas writes them."""
    places = [Box(0, 0.0, 0.5, 1.0, 0.5), Box(0, 0.25, 0.25, 0.5, 0.5)]
    return [canvas_box(box, name, SIDE, SIDE) for box, name in zip(places, classes, strict=True)]


def mapping(entries: list[dict[str, Any]], **inputs: Any) -> Prompt:
    settings = {"palette": "scenes", **inputs}
    return {
        "map": node("TamingBoxesToMap", boxes={"__value__": entries}, **settings),
        SHOW: node("PreviewImage", images=["map", 0]),
    }


def color_of(name: str) -> list[int]:
    return list(SCENES.colors[SCENES.names.index(name)])


def test_a_later_box_lies_over_an_earlier_one_and_the_rest_is_the_background(server: LiveServer):
    for background, behind in ({}, "sky"), ({"background": "cloud"}, "cloud"):
        run = server.watch(mapping(boxes("ground", "Tree"), **background))
        assert run.ending == "execution_success", run.error
        picture = pixels(run.images[SHOW][0])
        expected = np.zeros((SIDE, SIDE, 3), np.uint8)
        expected[:] = color_of(behind)
        expected[64:] = color_of("ground")
        expected[32:96, 32:96] = color_of("tree")
        assert (picture == expected).all()


def test_labels_and_a_size_of_its_own_make_the_map(server: LiveServer):
    entries = [canvas_box(Box(0, 0.0, 0.0, 0.5, 1.0), "", 96, 40)]
    picture = pixels(server.watch(mapping(entries, labels="water", width=96, height=40)).images[SHOW][0])
    assert picture.shape == (40, 96, 3)
    assert picture[0, 47].tolist() == color_of("water") and picture[0, 48].tolist() == color_of("sky")


def test_the_embedded_map_model_draws_by_boxes(server: LiveServer):
    settings: dict[str, Any] = {"seed": 0, "temperature": 1.0, "top_k": 0, "top_p": 1.0}
    run = server.watch(
        {
            **mapping(boxes("ground", "water")),
            LOAD: node("TamingLoadTransformer", transformer_name=MAP_MODEL),
            "condition": node("TamingImageCondition", transformer=[LOAD, 0], image=["map", 0]),
            EMPTY: node("TamingEmptyTokens", vqgan=[LOAD, 1], width=0, height=0, batch_size=1),
            SAMPLE: node(
                "TamingSample", transformer=[LOAD, 0], tokens=[EMPTY, 0], condition=["condition", 0], **settings
            ),
            DECODE: node("TamingDecode", vqgan=[LOAD, 1], tokens=[SAMPLE, 0]),
            SHOW: node("PreviewImage", images=[DECODE, 0]),
        }
    )
    assert run.ending == "execution_success", run.error
    assert pixels(run.images[SHOW][0]).shape == (SIDE, SIDE, 3)


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        (mapping(boxes("ground", "montain")), ("'montain'", "'mountain'", "boxes, box 2")),
        (mapping(boxes("", ""), labels="ground, lake"), ("'lake'", "water", "input labels")),
        (mapping(boxes("ground", "")), ("Box 2 of boxes", "labels")),
        (mapping(boxes("ground", "tree"), background="heaven"), ("'heaven'", "sky", "input background")),
        (mapping([]), ("boxes: there are none",)),
        (mapping([canvas_box(Box(0, 0.5, 0.5, 0.0, 0.1), "tree", SIDE, SIDE)]), ("boxes, box 1: it covers nothing",)),
        (mapping([{"x": 200, "y": 0, "width": 5, "height": 5, "metadata": {"desc": "tree"}}]), ("128x128 px",)),
    ],
)
def test_what_is_no_map_is_refused_with_the_box_and_the_nearest_name(
    server: LiveServer, prompt: Prompt, said: tuple[str, ...]
):
    run = server.watch(prompt)
    assert run.ending == "execution_error"
    assert all(part in run.error for part in said), run.error
