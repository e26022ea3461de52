"""Segmentation maps: pictures in a palette and label images become the labels that they were drawn from."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from torch import Tensor
from torch.overrides import TorchFunctionMode

from taming.conditioning import Box
from taming.conditioning.labels import vocabulary_label
from taming.conditioning.segmentation import (
    labels_from_boxes,
    labels_from_gray,
    labels_from_picture,
    one_hot,
    picture_of_labels,
    read_labels,
)
from taming.conditioning.vocabularies import Vocabulary, vocabulary
from taming.data import render_scene
from taming.errors import ConditionError

DRAWN = ("ade20k", "coco_stuff", "sflckr")
TRIO = Vocabulary("trio", ("sky", "land", "sea"), ((250, 10, 10), (10, 250, 10), (10, 10, 250)))


def paint(labels: Tensor, known: Vocabulary) -> Tensor:
    """The picture that a segmentation node would draw, (B, H, W, 3) in [0, 1]."""
    return torch.tensor(known.colors)[labels].float() / 255


def gray(labels: Tensor) -> Tensor:
    """The label image, as the host loads it, (B, H, W, 3) in [0, 1]."""
    return labels[..., None].expand(-1, -1, -1, 3).float() / 255


def regions(known: Vocabulary, *, side: int = 128, cells: int = 4, seed: int = 0) -> Tensor:
    """Labels of a picture of large patches, (1, H, W), none of them a skyscraper, which is drawn like a road."""
    coarse = torch.randint(len(known.colors), (1, 1, cells, cells), generator=torch.Generator().manual_seed(seed))
    labels = F.interpolate(coarse.float(), size=(side, side))[:, 0].long()
    return labels.masked_fill(labels == known.names.index("skyscraper"), known.names.index("road"))


def through_pillow(picture: Tensor, change) -> Tensor:
    pixels = Image.fromarray((picture[0].numpy() * 255).round().astype(np.uint8))
    return torch.from_numpy(np.array(change(pixels)))[None].float() / 255


def as_jpeg(quality: int):
    def change(pixels: Image.Image) -> Image.Image:
        file = io.BytesIO()
        pixels.save(file, "JPEG", quality=quality)
        return Image.open(file)

    return change


@pytest.mark.parametrize("name", DRAWN)
def test_every_label_survives_being_drawn_and_read(name):
    known = vocabulary(name)
    labels = torch.arange(len(known.colors)).repeat(2, 1)[..., None].expand(-1, -1, 2)  # (2, n, 2)
    wanted = labels.clone()
    if name == "ade20k":  # the two share a color
        wanted[wanted == known.names.index("skyscraper")] = known.names.index("road")
    assert torch.equal(read_labels(paint(labels, known), known, len(known.colors)), wanted)


@given(arrays.arrays(np.int64, (2, 5, 3), elements=st.integers(0, 182)))
def test_any_map_survives_being_drawn_and_read(labels):
    known = vocabulary("coco_stuff")
    wanted = torch.from_numpy(labels)
    assert torch.equal(labels_from_picture(paint(wanted, known), known, 183), wanted)


@given(arrays.arrays(np.int64, (2, 5, 3), elements=st.integers(0, 150)))
def test_any_label_image_is_its_labels(labels):
    wanted = torch.from_numpy(labels)
    assert torch.equal(labels_from_gray(gray(wanted), 151), wanted)


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("quality", [95, 75, 50])
def test_jpeg_noise_changes_labels_at_edges_only(name, quality):
    known = vocabulary(name)
    labels = regions(known, side=160)
    read = labels_from_picture(through_pillow(paint(labels, known), as_jpeg(quality)), known, len(known.colors))
    assert torch.equal(read[is_inside(labels)], labels[is_inside(labels)])
    assert (read == labels).float().mean() > 0.9


def is_inside(labels: Tensor) -> Tensor:
    """Pixels of 40 pixel patches that share no chroma block of a JPEG, 16 pixels wide, with another patch."""
    middle = (torch.arange(labels.shape[1]) % 40 - 20).abs() < 4
    return (middle[:, None] & middle).expand_as(labels)


@pytest.mark.parametrize("side", [96, 200, 301])
def test_the_mixed_colors_of_resized_edges_bring_in_no_other_label(side):
    """Sharpened edges overshoot to the corners of the color cube, where ADE20K has many of its colors."""
    known = vocabulary("ade20k")
    labels = regions(known, seed=3)
    resized = through_pillow(paint(labels, known), lambda pixels: pixels.resize((side, side), Image.Resampling.LANCZOS))
    read = labels_from_picture(resized, known, 151)
    assert set(read.unique().tolist()) <= set(labels.unique().tolist())
    nearest = F.interpolate(labels[None].float(), size=(side, side))[0].long()
    assert (read == nearest).float().mean() > 0.9


def test_a_line_survives_in_a_picture_that_was_not_resized():
    labels = torch.zeros(1, 16, 16, dtype=torch.int64)
    labels[:, 7] = 1
    assert torch.equal(labels_from_picture(paint(labels, TRIO), TRIO, 3), labels)


def test_each_picture_of_a_batch_is_read_by_itself():
    known = vocabulary("coco_stuff")
    labels = torch.cat([regions(known, seed=1), regions(known, seed=2)])
    pictures = paint(labels, known)
    pictures[1] = through_pillow(pictures[1:], as_jpeg(90))[0]
    both = labels_from_picture(pictures, known, 183)
    assert torch.equal(both[0], labels[0])
    assert torch.equal(both[1:], labels_from_picture(pictures[1:], known, 183))


@pytest.mark.parametrize("name", DRAWN)
def test_a_photograph_is_refused_with_what_was_found(name):
    known = vocabulary(name)
    scene = torch.from_numpy(render_scene(0, 5, 64).image)[None].float() / 255
    with pytest.raises(ConditionError, match=rf"Only \d+% of .*{name}.*colors found are \(\d+, \d+, \d+\), "):
        read_labels(scene, known, len(known.colors))


def test_one_photograph_in_a_batch_of_maps_is_refused():
    pictures = paint(torch.randint(3, (3, 64, 64)), TRIO)
    pictures[2] = torch.from_numpy(render_scene(0, 5, 64).image).float() / 255
    with pytest.raises(ConditionError, match="Only"):
        read_labels(pictures, TRIO, 3)


def test_the_share_and_the_colors_found_are_counted_right():
    """The last red column touches purple, so it is an edge."""
    picture = paint(torch.zeros(1, 10, 40, dtype=torch.int64), TRIO)
    picture[:, :, 11:] = torch.tensor([128.0, 0.0, 128.0]) / 255
    with pytest.raises(ConditionError, match=r"Only 25% of .*'trio'.*found are \(128, 0, 128\), \(250, 10, 10\)\."):
        labels_from_picture(picture, TRIO, 3)


@pytest.mark.parametrize(("name", "label"), [("ade20k", "wall"), ("coco_stuff", "snow"), ("coco_stuff", "unlabeled")])
def test_a_picture_of_one_gray_color_is_no_label_image(name, label):
    known = vocabulary(name)
    labels = torch.full((1, 4, 4), known.names.index(label))
    assert torch.equal(read_labels(paint(labels, known), known, len(known.colors)), labels)


def test_both_kinds_of_picture_are_told_apart():
    known = vocabulary("ade20k")
    labels = regions(known)
    assert torch.equal(read_labels(gray(labels), known, 151), labels)
    assert torch.equal(read_labels(paint(labels, known), known, 151), labels)


def test_labels_without_colors_are_read_from_label_images_only():
    nameless = Vocabulary("nameless", ("a", "b"))
    labels = torch.tensor([[[0, 1], [1, 0]]])
    assert torch.equal(read_labels(gray(labels), nameless, 2), labels)
    with pytest.raises(ConditionError, match="0 colors"):
        read_labels(paint(labels, TRIO), nameless, 2)


def test_values_that_are_no_labels_are_named():
    labels = torch.tensor([[[0, 254, 255, 150, 151]]])
    with pytest.raises(ConditionError, match="values 151, 254, 255, but the labels are 0 to 150"):
        read_labels(gray(labels), vocabulary("ade20k"), 151)


def test_many_wrong_values_are_counted():
    labels = torch.arange(10)[None, None]
    with pytest.raises(ConditionError, match="values 3, 4, 5, 6, 7 and 2 more"):
        labels_from_gray(gray(labels), 3)


def test_a_color_picture_is_no_label_image():
    with pytest.raises(ConditionError, match="gray"):
        labels_from_gray(paint(torch.zeros(1, 2, 2, dtype=torch.int64), TRIO), 3)


def test_a_palette_of_another_model_is_refused():
    with pytest.raises(ConditionError, match="'ade20k' has 151 colors and the transformer 183 labels"):
        labels_from_picture(torch.zeros(1, 2, 2, 3), vocabulary("ade20k"), 183)


@pytest.mark.parametrize("shape", [(4, 4, 3), (1, 4, 4, 4), (1, 3, 4, 4), (1, 0, 4, 3)])
def test_a_picture_of_another_shape_is_refused(shape):
    with pytest.raises(ConditionError, match=r"\(B, H, W, 3\)"):
        read_labels(torch.zeros(shape), TRIO, 3)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_picture_with_values_that_are_no_color_is_refused(value):
    picture = torch.zeros(1, 2, 2, 3)
    picture[0, 1, 1] = value
    with pytest.raises(ConditionError, match="NaN"):
        read_labels(picture, TRIO, 3)


def test_a_picture_of_as_many_colors_as_pixels_is_compared_in_pieces():
    """65,000 colors against 183 at once would be a tensor of 48 MB here, and of 800 MB at 1024 x 1024."""
    noise = torch.rand(1, 256, 256, 3, generator=torch.Generator().manual_seed(0))
    with LargestTensor() as largest, pytest.raises(ConditionError, match="Only 0%"):
        labels_from_picture(noise, vocabulary("coco_stuff"), 183)
    assert 1e6 < largest.num_bytes < 25e6


class LargestTensor(TorchFunctionMode):
    """Watches every operation for the largest tensor that it returns."""

    num_bytes = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        results = func(*args, **(kwargs or {}))
        for result in results if isinstance(results, (tuple, list)) else [results]:
            if isinstance(result, Tensor):
                self.num_bytes = max(self.num_bytes, result.nbytes)
        return results


def test_a_one_hot_map_says_each_label_once():
    labels = torch.randint(7, (2, 5, 4), generator=torch.Generator().manual_seed(0))
    hot = one_hot(labels, 7)
    assert hot.shape == (2, 7, 5, 4) and hot.dtype == torch.float32
    assert torch.equal(hot.argmax(dim=1), labels)
    assert torch.equal(hot.sum(dim=1), torch.ones(2, 5, 4))
    assert set(hot.unique().tolist()) == {0.0, 1.0}


def test_a_one_hot_map_is_what_the_reference_feeds():
    """np.eye(n)[labels], channels moved to the front (taming/data/ade20k.py, Net2NetTransformer.get_input)."""
    labels = torch.randint(151, (1, 6, 3), generator=torch.Generator().manual_seed(0))
    theirs = torch.from_numpy(np.eye(151)[labels.numpy()]).permute(0, 3, 1, 2).float()
    assert torch.equal(one_hot(labels, 151), theirs)


@pytest.mark.parametrize("labels", [torch.tensor([[[0, 3]]]), torch.tensor([[[-1, 2]]])])
def test_labels_that_the_model_does_not_have_are_refused(labels):
    with pytest.raises(ConditionError, match="the model has 0 to 2"):
        one_hot(labels, 3)


@pytest.mark.parametrize("labels", [torch.zeros(1, 2, 2), torch.zeros(2, 2, dtype=torch.int64)])
def test_what_are_no_labels_is_refused(labels):
    with pytest.raises(ConditionError, match="whole numbers"):
        one_hot(labels, 3)


@pytest.mark.parametrize("name", ("scenes", *DRAWN))
def test_a_map_of_boxes_is_read_as_the_boxes(name):
    """Later boxes lie over earlier ones, and one that reaches beyond the picture is cut."""
    known = vocabulary(name)
    boxes = [Box(5, 0.0, 0.5, 1.0, 0.7), Box(4, 0.25, 0.25, 0.5, 0.5), Box(3, -0.5, -0.5, 0.625, 0.625)]
    labels = labels_from_boxes(boxes, 1, 16, 24)
    expected = torch.full((16, 24), 1)
    expected[8:] = 5
    expected[4:12, 6:18] = 4
    expected[:2, :3] = 3
    assert torch.equal(labels, expected)
    assert torch.equal(read_labels(picture_of_labels(labels[None], known), known, len(known.names))[0], expected)


def test_boxes_beyond_the_picture_leave_no_trace():
    boxes = [Box(2, -0.5, 0.0, 0.25, 1.0), Box(2, 1.5, 0.0, 1.0, 1.0), Box(2, 0.0, -2.0, 1.0, 1.0)]
    assert not labels_from_boxes(boxes, 0, 8, 8).any()


def test_a_label_that_a_palette_does_not_have_is_answered_with_the_nearest():
    known = vocabulary("scenes")
    assert [vocabulary_label(known, label) for label in ("Sun Moon", "tree", "5", 0)] == [1, 5, 5, 0]
    with pytest.raises(ConditionError, match=r"'scenes' has no class 'montain'. Did you mean 'mountain'\?"):
        vocabulary_label(known, "montain")
    for label in ("9", -1, ""):
        with pytest.raises(ConditionError, match="sky, sun_moon"):
            vocabulary_label(known, label)
