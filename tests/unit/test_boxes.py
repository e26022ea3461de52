"""Boxes to tokens and back: the reference's arithmetic, recorded; what survives the way; answers to wrong boxes."""

import json
import logging
from dataclasses import asdict, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from taming.conditioning.boxes import WHOLE_PICTURE, Box, BoxFormat, decode_boxes, encode_boxes, shuffle_boxes
from taming.configs.fields import config_from_dict
from taming.errors import ConditionError, ConfigError, TokensError

SCENES = BoxFormat(num_classes=183, max_objects=4, use_group_parameter=True, use_additional_parameters=True)
NONE = SCENES.none_token
COARSE = BoxFormat(num_classes=8, num_tokens=25, max_objects=2, encode_crop=False)  # 5x5 places, a quarter apart
DOG = Box(0, 0.1, 0.2, 0.3, 0.4)
CROWD = Box(17, 0.5, 0.55, 0.6, 0.35, is_group_of=True)
CORNER = Box(182, 0.0, 0.0, 0.25, 0.125, is_occluded=True)  # touches the crop below in a point
CROP = (0.25, 0.125, 0.375, 0.75)


# What the builders of CompVis/taming-transformers gave for these boxes, with their shuffle taken out.
@pytest.mark.parametrize(
    ("center_points", "encode_crop", "flip", "objects", "crop"),
    [
        (False, True, False, [0, 1629, 4806, 200, 4454, 7289], [1012, 7076]),
        (False, True, True, [0, 1673, 4850, 200, 4410, 7244], [1023, 7087]),
        (False, False, False, [0, 810, 5111, 200, 4559, 8099], []),
        (False, False, True, [0, 828, 5129, 200, 4500, 8040], []),
        (True, True, False, [0, 3262, 200, 5917], [1012, 7076]),
        (True, True, True, [0, 3307, 200, 5872], [1023, 7087]),
        (True, False, False, [0, 3006, 200, 6374], []),
        (True, False, True, [0, 3023, 200, 6315], []),
    ],
)
def test_tokens_are_those_that_the_reference_gave(center_points, encode_crop, flip, objects, crop):
    layout = replace(SCENES, center_points=center_points, encode_crop=encode_crop)
    padding = [NONE] * (layout.max_objects * layout.tokens_per_object - len(objects))
    assert encode_boxes(layout, [DOG, CROWD, CORNER], CROP, flip) == objects + padding + crop


@pytest.mark.parametrize(
    ("center_points", "encode_crop", "length"),
    [(False, True, 92), (False, False, 90), (True, True, 62), (True, False, 60)],
)
def test_a_condition_has_the_published_length_however_many_boxes_it_holds(center_points, encode_crop, length):
    layout = BoxFormat(num_classes=183, center_points=center_points, encode_crop=encode_crop)
    assert layout.length == length
    for count in (0, 1, 30):
        assert len(encode_boxes(layout, [DOG] * count)) == length


def test_halves_go_to_the_even_place():
    corners = [Box(0, x, 0.0, 0.5, 1.0) for x in (0.125, 0.375)]
    assert encode_boxes(COARSE, corners) == [0, 0, 20 + 2, 0, 2, 20 + 4]


def test_a_box_beyond_the_edges_starts_at_the_edge_with_its_own_size():
    assert encode_boxes(COARSE, [Box(0, -0.25, -0.5, 0.75, 0.75), Box(0, 0.5, 0.5, 9.0, 9.0)]) == [
        *(0, 0, 5 * 3 + 3),
        *(0, 5 * 2 + 2, 5 * 4 + 4),
    ]


def test_boxes_outside_the_crop_are_left_out_and_the_others_move_up():
    left, right = Box(1, 0.0, 0.0, 0.25, 1.0), Box(2, 0.5, 0.0, 0.5, 1.0)
    none = COARSE.none_token
    assert encode_boxes(COARSE, [left, right], (0.5, 0.0, 0.5, 1.0)) == [2, 0, 24, none, none, none]
    assert encode_boxes(COARSE, [left, right], (0.0, 0.0, 0.5, 1.0)) == [1, 0, 20 + 2, none, none, none]
    assert encode_boxes(COARSE, [left, right], (0.25, 0.0, 0.25, 1.0)) == [none] * 6


def test_too_many_boxes_are_cut_with_a_warning(caplog):
    first = encode_boxes(COARSE, [DOG, DOG])
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        assert encode_boxes(COARSE, [DOG, DOG, Box(5, 0.0, 0.0, 1.0, 1.0)]) == first
    assert [record.getMessage() for record in caplog.records] == [
        "3 boxes, of which the transformer reads the first 2."
    ]


def test_flags_are_told_only_by_formats_that_know_them():
    every_flag = Box(5, *CROP, is_group_of=True, is_occluded=True, is_depiction=True, is_inside=True)
    for group, additional in [(False, False), (True, False), (False, True), (True, True)]:
        layout = replace(SCENES, use_group_parameter=group, use_additional_parameters=additional)
        (box,) = decode_boxes(layout, encode_boxes(layout, [every_flag])).boxes
        assert (box.label, box.is_group_of) == (5, group)
        assert (box.is_occluded, box.is_depiction, box.is_inside) == (additional,) * 3


def between_places(columns: tuple[int, int], rows: tuple[int, int]) -> tuple[float, float, float, float]:
    """The rectangle between two columns and two rows of places of the published grid."""
    (x0, x1), (y0, y1) = columns, rows
    return x0 / 89, y0 / 89, x1 / 89 - x0 / 89, y1 / 89 - y0 / 89


spans = st.tuples(st.integers(0, 88), st.integers(1, 89)).map(lambda span: (span[0], min(sum(span), 89)))
rectangles = st.builds(between_places, spans, spans)
flags = st.tuples(st.booleans(), st.booleans(), st.booleans(), st.booleans())
boxes_on_places = st.builds(
    lambda label, place, flags: Box(label, *place, *flags), st.integers(0, 182), rectangles, flags
)
layouts_on_places = st.lists(boxes_on_places, max_size=SCENES.max_objects)


@settings(max_examples=40, deadline=None)
@given(layouts_on_places, rectangles)
def test_boxes_on_places_come_back_as_they_were(boxes, crop):
    decoded = decode_boxes(SCENES, encode_boxes(SCENES, boxes))
    assert decoded.boxes == tuple(boxes)
    assert decoded.crop == WHOLE_PICTURE
    assert decode_boxes(SCENES, encode_boxes(SCENES, boxes, crop)).crop == crop


@settings(max_examples=40, deadline=None)
@given(layouts_on_places)
def test_a_flipped_layout_is_the_layout_of_mirrored_boxes(boxes):
    mirrored = [replace(box, x=1 - (box.x + box.width)) for box in boxes]
    for layout in (SCENES, replace(SCENES, encode_crop=False)):
        assert encode_boxes(layout, boxes, flip=True) == encode_boxes(layout, mirrored)


inside = st.floats(0.0, 0.99).flatmap(lambda start: st.tuples(st.just(start), st.floats(0.005, 1 - start)))


@settings(max_examples=40, deadline=None)
@given(inside, inside, st.integers(0, 182))
def test_edges_and_centers_come_back_within_half_a_place(columns, rows, label):
    (x, width), (y, height) = columns, rows
    box = Box(label, x, y, width, height)
    (told,) = decode_boxes(SCENES, encode_boxes(SCENES, [box])).boxes
    half = pytest.approx(0, abs=0.5 / 89 + 1e-9)
    assert told.label == label
    assert [told.x - x, told.y - y] == [half, half]
    assert [told.x + told.width - (x + width), told.y + told.height - (y + height)] == [half, half]

    points = replace(SCENES, center_points=True)
    (center,) = decode_boxes(points, encode_boxes(points, [box])).boxes
    assert (center.label, center.width, center.height) == (label, 0.0, 0.0)
    assert [center.x - (x + width / 2), center.y - (y + height / 2)] == [half, half]


def test_only_a_format_with_crop_tokens_tells_the_crop():
    assert decode_boxes(COARSE, encode_boxes(COARSE, [DOG], CROP)).crop is None
    x, y, width, height = decode_boxes(SCENES, encode_boxes(SCENES, [], CROP)).crop or ()
    assert (x, y, x + width, y + height) == pytest.approx((0.25, 0.125, 0.625, 0.875), abs=0.5 / 89)


def test_shuffling_keeps_every_box_and_depends_on_the_seed_alone():
    boxes = [replace(DOG, label=label) for label in range(30)]
    shuffled = shuffle_boxes(tuple(boxes), seed=3)
    assert sorted(shuffled, key=lambda box: box.label) == boxes
    assert shuffled == shuffle_boxes(boxes, seed=3) != shuffle_boxes(boxes, seed=4)
    assert shuffle_boxes([], seed=3) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": 183}, "Box 2 is of class 183, .* 0 to 182"),
        ({"label": -1}, "class -1"),
        ({"label": "dog"}, "class 'dog'"),
        ({"x": float("nan")}, "Box 2 covers nothing .*x nan"),
        ({"height": float("inf")}, "height inf"),
        ({"width": -0.1}, "width -0.1"),
        ({"width": 0.0}, "above 0"),
        ({"x": 1.0}, "Box 2 lies outside the picture .*x 1, "),
        ({"y": -0.4}, "outside the picture"),
        ({"x": 300.0, "width": 200.0}, "from 0 to 1"),
    ],
)
def test_a_wrong_box_is_named_with_what_it_is(change, message):
    with pytest.raises(ConditionError, match=message):
        encode_boxes(SCENES, [CORNER, replace(DOG, **change)])


def test_a_box_whose_flags_leave_the_vocabulary_is_refused_even_where_it_would_mean_no_object():
    layout = BoxFormat(num_classes=8, num_tokens=16, use_group_parameter=True)
    assert encode_boxes(layout, [replace(DOG, label=6, is_group_of=True)])[0] == 14
    with pytest.raises(ConditionError, match="Box 1 is of class 7 .* token 15; .* end at 14"):
        encode_boxes(layout, [replace(DOG, label=7, is_group_of=True)])


@pytest.mark.parametrize(
    "crop",
    [
        (0.0, 0.0, 0.0, 1.0),
        (0.0, 0.0, 1.0, -1.0),
        (-0.1, 0.0, 1.0, 1.0),
        (0.0, 0.5, 1.0, 0.6),
        (float("nan"), 0.0, 1.0, 1.0),
        (0.0, 0.0, 256.0, 256.0),
    ],
)
def test_a_crop_that_leaves_the_picture_is_refused(crop):
    with pytest.raises(ConditionError, match=r"The crop .* is no part of the picture"):
        encode_boxes(SCENES, [DOG], crop)


def test_a_crop_in_single_precision_may_miss_the_edge_by_its_rounding_error():
    crop = x, y, width, height = tuple(torch.tensor([0.6, 0.6, 0.4, 0.4]).tolist())
    assert x + width > 1 and y + height > 1
    assert encode_boxes(SCENES, [], crop)[-1] == 90 * 90 - 1


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ([0] * 5, "5 tokens .* reads 6"),
        ([0, 0, 25, 24, 24, 24], "Token 25 is no place .* 0 to 24"),
        ([0, -1, 7, 24, 24, 24], "Token -1 is no place"),
        ([0, 7, 6, 24, 24, 24], "Tokens 7 and 6 are no rectangle"),
        ([0, 7, 2, 24, 24, 24], "Tokens 7 and 2 are no rectangle"),
        ([8, 0, 7, 24, 24, 24], "Token 8 is no object; .* end at 7"),
        ([-1, 0, 7, 24, 24, 24], "Token -1 is no object"),
    ],
)
def test_tokens_that_are_no_boxes_are_refused(tokens, message):
    with pytest.raises(TokensError, match=message):
        decode_boxes(COARSE, tokens)


def test_a_format_survives_json():
    layout = replace(COARSE, center_points=True)
    assert config_from_dict(BoxFormat, json.loads(json.dumps(asdict(layout))), "boxes") == layout


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_classes": 8192}, "more tokens than classes"),
        ({"num_classes": 0}, "1 class or more"),
        ({"num_classes": 1, "num_tokens": 3}, "4 tokens or more"),
        ({"max_objects": 0}, "max_objects must be 1 or more"),
    ],
)
def test_numbers_that_no_transformer_can_have_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        replace(SCENES, **change)
