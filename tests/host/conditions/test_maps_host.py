"""Maps of labels and of depth in the running server."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from condition_models import FACTOR, SIDE, expected
from condition_prompts import CONDITION, colored, drawn, gray, random_depth, random_labels, with_image
from devtools.live_server import LiveServer
from prompts import SHOW, node, pixels


def test_a_segmentation_is_read_alike_from_label_images_and_colors_and_drawn_as_the_library_does(probed: LiveServer):
    labels = random_labels(1, SIDE, SIDE)
    by_library = expected(probed, "segmentation.ckpt", segmentation=labels)
    prompts = [with_image("segmentation.ckpt", picture) for picture in (gray(labels), colored(labels))]
    prompts.append(with_image("segmentation.ckpt", colored(labels), "ade20k"))
    assert all(np.array_equal(drawn(probed.watch(prompt)), by_library) for prompt in prompts)
    other = with_image("segmentation.ckpt", gray(random_labels(1, SIDE, SIDE, seed=1)))
    assert not np.array_equal(drawn(probed.watch(other)), by_library)


def test_a_segmentation_from_a_png_file_is_read_exactly(probed: LiveServer):
    labels = random_labels(1, SIDE, SIDE)
    (probed.base / "input").mkdir(exist_ok=True)
    picture = (colored(labels)[0] * 255).round().byte().numpy()
    Image.fromarray(picture).save(probed.base / "input" / "map.png")
    prompt = with_image("segmentation.ckpt", gray(labels))
    prompt["image"] = node("LoadImage", image="map.png")
    assert np.array_equal(drawn(probed.watch(prompt)), expected(probed, "segmentation.ckpt", segmentation=labels))


def test_depth_is_scaled_to_its_own_range_and_drawn_as_the_library_does(probed: LiveServer):
    depth = random_depth(1)
    by_library = expected(probed, "depth.ckpt", depth=depth)
    for picture in (depth[..., None], depth[..., None] * 0.25):
        assert np.array_equal(drawn(probed.watch(with_image("depth.ckpt", picture))), by_library)


@pytest.mark.parametrize("name", ["segmentation.ckpt", "depth.ckpt"])
def test_several_conditions_in_one_run_equal_each_alone(probed: LiveServer, name: str):
    if name == "depth.ckpt":
        pictures = random_depth(3)[..., None] * torch.tensor([1.0, 0.5, 0.25])[:, None, None, None]
    else:
        pictures = torch.cat([colored(random_labels(2, SIDE, SIDE)), gray(random_labels(1, SIDE, SIDE, seed=5))])
    together = probed.watch(with_image(name, pictures, batch_size=3))
    assert together.progress(CONDITION)[-1] == (3, 3)
    for item, picture in enumerate(pictures.split(1)):
        assert np.array_equal(drawn(together)[item], drawn(probed.watch(with_image(name, picture)))[0])


def test_one_map_serves_a_batch(probed: LiveServer):
    grids = drawn(probed.watch(with_image("depth.ckpt", random_depth(1)[..., None], batch_size=2)))
    assert np.array_equal(grids[0], grids[1])


def test_a_larger_picture_is_drawn_through_a_sliding_window(probed: LiveServer):
    labels = random_labels(1, 2 * SIDE, 3 * SIDE)
    size = {"height": 2 * SIDE, "width": 3 * SIDE}
    run = probed.watch(with_image("segmentation.ckpt", gray(labels), **size))
    assert np.array_equal(drawn(run), expected(probed, "segmentation.ckpt", **size, segmentation=labels))
    assert pixels(run.images[SHOW][0]).shape == (4 * SIDE, 6 * SIDE, 3)


def test_a_smaller_picture_is_drawn_by_a_smaller_map(probed: LiveServer):
    depth = random_depth(1)[:, : 5 * FACTOR, : 4 * FACTOR]
    grid = drawn(probed.watch(with_image("depth.ckpt", depth[..., None], height=5, width=4)))
    assert np.array_equal(grid, expected(probed, "depth.ckpt", height=5, width=4, depth=depth))


def test_a_model_that_scales_its_maps_draws_by_one_of_any_size(probed: LiveServer):
    depth = random_depth(1)
    larger = depth.repeat_interleave(2, 1).repeat_interleave(2, 2)
    for map_of_depth in (depth, larger):
        grid = drawn(probed.watch(with_image("scaled.ckpt", map_of_depth[..., None])))
        assert np.array_equal(grid, expected(probed, "scaled.ckpt", depth=map_of_depth))


def test_a_map_is_center_cropped_to_whole_tokens_and_keeps_no_transparency(probed: LiveServer):
    depth = random_depth(1)
    around = torch.full((1, SIDE * FACTOR + 1, SIDE * FACTOR + 1, 4), 0.5)
    around[:, :-1, :-1, :3] = depth[..., None]
    grid = drawn(probed.watch(with_image("depth.ckpt", around)))
    assert np.array_equal(grid, expected(probed, "depth.ckpt", depth=depth))


def test_encoding_maps_can_be_canceled(probed: LiveServer):
    many = random_depth(40)[..., None]

    def stop(message: Any) -> None:
        if message.kind == "executing" and message.data["node"] == CONDITION:
            probed.interrupt()

    run = probed.watch(with_image("depth.ckpt", many), on_message=stop)
    assert run.ending == "execution_interrupted"
