"""Box tokens against the reference's own builders, on random layouts, and the way back.

The wheel of the other parity tests leaves the scene code out; `taming-transformers-hugf` is the same source with it,
under another package name, and is looked for in the same folder.
"""

from __future__ import annotations

import importlib
import random
from itertools import zip_longest
from types import SimpleNamespace

import pytest
import torch

from devtools.reference import find_reference, reference_imports
from taming.conditioning.boxes import WHOLE_PICTURE, Box, BoxFormat, decode_boxes, encode_boxes

PACKAGE = "taming_transformers_hugf"
DATA = f"{PACKAGE}.taming.data"
NUM_LAYOUTS = 1000


def grouper(values, size):
    """What more_itertools has under this name."""
    return zip_longest(*[iter(values)] * size)


@pytest.fixture(scope="module")
def builders() -> SimpleNamespace:
    folder = find_reference()
    if folder is None or not (folder / PACKAGE).is_dir():
        pytest.skip("the reference's scene code is not here; `python3 dev.py test` installs it")
    stubs = {
        PACKAGE: {"__path__": [str(folder / PACKAGE)]},
        f"{DATA}.image_transforms": {"convert_pil_to_tensor": None},  # needs a torchvision of 2021; plots only
        "more_itertools": {},
        "more_itertools.recipes": {"grouper": grouper},
    }
    with reference_imports(folder, stubs):
        corners = importlib.import_module(f"{DATA}.conditional_builder.objects_bbox")
        centers = importlib.import_module(f"{DATA}.conditional_builder.objects_center_points")
        annotation = importlib.import_module(f"{DATA}.helper_types").Annotation
    return SimpleNamespace(
        corners=corners.ObjectsBoundingBoxConditionalBuilder,
        centers=centers.ObjectsCenterPointsConditionalBuilder,
        annotation=annotation,
    )


def random_format(rng: random.Random) -> BoxFormat:
    """A format of the published sizes or a small one, in which every rounding tie and overlong list turns up."""
    small = rng.random() < 0.5
    return BoxFormat(
        num_classes=rng.randint(1, 15) if small else rng.choice([183, 317, 500]),
        num_tokens=256 if small else 8192,
        max_objects=rng.randint(1, 6) if small else 30,
        center_points=rng.random() < 0.5,
        encode_crop=rng.random() < 0.5,
        use_group_parameter=rng.random() < 0.5,
        use_additional_parameters=rng.random() < 0.5,
    )


def random_span(rng: random.Random) -> tuple[float, float]:
    """Start and length of an interval that covers some of [0, 1]: inside it, beyond its ends, on round numbers."""
    kind = rng.randrange(4)
    if kind == 0:
        start = rng.randrange(60) / 60
        return start, rng.randint(1, 60) / 60 * (1 - start)
    if kind == 1:
        start = rng.uniform(-0.5, 0.0)
        return start, rng.uniform(0.01, 1.5) - start
    if kind == 2:
        return rng.uniform(0.0, 0.99), rng.uniform(1e-9, 0.01)
    start = rng.uniform(0.0, 0.95)
    return start, rng.uniform(0.02, 1.2)


def random_box(rng: random.Random, num_classes: int) -> Box:
    (x, width), (y, height) = random_span(rng), random_span(rng)
    return Box(rng.randrange(num_classes), x, y, width, height, *(rng.random() < 0.5 for _ in range(4)))


def random_crop(rng: random.Random) -> tuple[float, float, float, float]:
    """The whole picture, a window of a grid of cells, or a square of a picture, as the reference computes them."""
    kind = rng.randrange(3)
    if kind == 0:
        return WHOLE_PICTURE
    window = 16 if kind == 1 else rng.randint(64, 256)
    width, height = (rng.randint(window, window * 3) for _ in range(2))
    left, top = rng.randint(0, width - window), rng.randint(0, height - window)
    return left / width, top / height, window / width, window / height


def reference_builder(builders: SimpleNamespace, layout: BoxFormat):
    build = builders.centers if layout.center_points else builders.corners
    return build(
        layout.num_classes,
        layout.max_objects,
        layout.num_tokens,
        layout.encode_crop,
        layout.use_group_parameter,
        layout.use_additional_parameters,
    )


def reference_tokens(builders, layout, boxes, crop, flip, seed) -> tuple[list[Box], list[int]]:
    """The reference's tokens, and `boxes` in the order that its own shuffle brings them into."""
    annotations = [
        builders.annotation(
            area=box.width * box.height,
            image_id="",
            bbox=(box.x, box.y, box.width, box.height),
            category_no=box.label,
            category_id="",
            is_group_of=box.is_group_of,
            is_occluded=box.is_occluded,
            is_depiction=box.is_depiction,
            is_inside=box.is_inside,
        )
        for box in boxes
    ]
    kept, cut = boxes[: layout.max_objects], boxes[layout.max_objects :]
    state = random.getstate()
    try:
        random.seed(seed)
        random.shuffle(kept)
        random.seed(seed)
        tokens = reference_builder(builders, layout).build(annotations, crop, flip).tolist()
    finally:
        random.setstate(state)
    return kept + cut, tokens


@pytest.mark.filterwarnings("ignore:Received more annotations", "ignore:Did not receive any")
def test_tokens_equal_the_references_and_decode_to_what_it_decodes(builders):
    rng = random.Random(0)
    seen = dict.fromkeys(["cut", "dropped", "shifted", "flipped", "cropped", "flagged"], 0)
    for number in range(NUM_LAYOUTS):
        layout = random_format(rng)
        boxes = [random_box(rng, layout.num_classes) for _ in range(rng.randint(0, layout.max_objects + 2))]
        crop, flip = random_crop(rng), rng.random() < 0.5
        boxes, expected = reference_tokens(builders, layout, boxes, crop, flip, seed=number)
        assert encode_boxes(layout, boxes, crop, flip) == expected
        assert len(expected) == layout.length

        builder = reference_builder(builders, layout)
        told, told_crop = builder.inverse_build(torch.tensor(expected))
        decoded = decode_boxes(layout, expected)
        assert decoded.crop == told_crop
        places = [(box.x, box.y, *(() if layout.center_points else (box.width, box.height))) for box in decoded.boxes]
        assert places == [place for _, place in told]
        for box, (representation, _) in zip(decoded.boxes, told, strict=True):
            annotation = builder.representation_to_annotation(representation)
            flags = (annotation.is_group_of, annotation.is_occluded, annotation.is_depiction, annotation.is_inside)
            assert box.label == annotation.category_no
            assert (box.is_group_of, box.is_occluded, box.is_depiction, box.is_inside) == flags

        seen["cut"] += len(boxes) > layout.max_objects
        seen["dropped"] += len(told) < min(len(boxes), layout.max_objects)
        seen["shifted"] += any(box.x < 0 for box in boxes)
        seen["flipped"] += flip
        seen["cropped"] += crop != WHOLE_PICTURE
        seen["flagged"] += any(box.is_group_of or box.is_inside for box in decoded.boxes)
    assert min(seen.values()) >= NUM_LAYOUTS // 20, seen
