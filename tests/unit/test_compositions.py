"""Composed scenes: what is told of one can be seen in it, and training never sees what is held out."""

from collections import Counter

import numpy as np
import pytest

from taming.conditioning.words import read_word_list
from taming.data import SEGMENT_NAMES, THING_NAMES, CompositionPainter
from taming.data.scenes.captions import tell
from taming.data.scenes.composition import (
    COLORS,
    HELD_OUT_PAIRS,
    PLACES,
    SEASONS,
    THINGS_OF,
    TIMES,
    WEATHERS,
    draw_composition,
)
from taming.data.scenes.painting import paint_composition, paint_scene

SCENERY = {"sun", "moon", "crescent", "stars", "aurora", "rainbow", "snowman", "pines", "trees"}
ALL_THINGS = {name for things in THINGS_OF.values() for name in things} | SCENERY


def composition_of(seed, held_out=False):
    return draw_composition(np.random.default_rng(seed), held_out)


def test_a_seed_repeats_a_scene_and_another_does_not():
    first, again, other = (CompositionPainter(64).paint(seed) for seed in (3, 3, 4))
    assert first.image.tobytes() == again.image.tobytes() and first.caption == again.caption
    assert first.segmentation.tobytes() == again.segmentation.tobytes()
    assert first.depth.tobytes() == again.depth.tobytes() and first.boxes == again.boxes
    assert first.caption != other.caption


@pytest.mark.parametrize("place", PLACES)
def test_every_place_is_painted_in_range_and_keeps_its_layout_at_another_size(place):
    seed = next(seed for seed in range(1000) if composition_of(seed).place == place)
    composition = composition_of(seed)
    small, large = (paint_composition(composition, np.random.default_rng(seed), size_px) for size_px in (128, 256))
    assert large.image.shape == (256, 256, 3) and large.image.dtype == np.uint8
    assert large.segmentation.max() < len(SEGMENT_NAMES)
    assert large.depth.min() >= 0 and large.depth.max() <= 1
    halved = large.image.reshape(128, 2, 128, 2, 3).astype(float).mean((1, 3))
    assert np.abs(halved - small.image).mean() < 6


def test_what_a_caption_may_tell_occurs_often_enough_to_be_learned():
    scenes = [paint_scene(seed, 32) for seed in range(400)]
    seen = Counter(fact.name for scene in scenes for fact in scene.composition.facts)
    for name in (*PLACES, *TIMES, *SEASONS, *WEATHERS, "sun", "moon", "stars", "birds", "balloon", "boat", "cabin"):
        assert seen[name] >= 8, name
    colors = Counter(fact.color for scene in scenes for fact in scene.composition.facts if fact.name != "sky")
    assert all(colors[color] >= 20 for color in COLORS)


def test_training_never_joins_the_words_that_are_held_out_and_the_held_out_scenes_always_do():
    for seed in range(300):
        names = {fact.name for fact in composition_of(seed).facts}
        assert not any(names >= set(pair) for pair in HELD_OUT_PAIRS)
    for seed in range(40):
        names = {fact.name for fact in composition_of(seed, held_out=True).facts}
        assert any(names >= set(pair) for pair in HELD_OUT_PAIRS)


def test_things_without_room_are_left_out_of_the_facts():
    wanted, seen = 0, 0
    for seed in range(120):
        scene = paint_scene(seed, 64)
        drawn = composition_of((seed, 0))
        names = {thing.name for thing in scene.composition.things}
        wanted += sum(thing.name in THING_NAMES for thing in drawn.things)
        seen += sum(thing.name in THING_NAMES and thing.name in names for thing in drawn.things)
        assert {box.name for box in scene.boxes} <= names
    assert 0.8 * wanted < seen <= wanted


def test_boxes_enclose_the_pixels_of_things():
    for seed in range(12):
        sample = CompositionPainter(128).paint(seed)
        solid = sample.segmentation == SEGMENT_NAMES.index("object")
        for box in sample.boxes:
            rows = slice(round(box.y * 128), round((box.y + box.height) * 128))
            columns = slice(round(box.x * 128), round((box.x + box.width) * 128))
            assert solid[rows, columns].mean() > 0.15, THING_NAMES[box.label]


def test_the_sky_is_farthest():
    heaven = [SEGMENT_NAMES.index(name) for name in ("sky", "sun_moon", "cloud")]
    for seed in range(8):
        scene = paint_scene(seed, 64)
        is_heaven = np.isin(scene.segmentation, heaven)
        assert (scene.depth[is_heaven] == 1).all() and (scene.depth[~is_heaven] < 1).all()


def test_a_color_that_is_told_is_the_color_of_the_thing():
    composition = next(
        composition
        for composition in map(composition_of, range(2000))
        if composition.time == "day" and composition.weather == "clear" and composition.color_of("balloon") == "red"
    )
    scene = paint_composition(composition, np.random.default_rng(0), 256)
    box = next(box for box in scene.boxes if box.name == "balloon")
    x, y = round((box.x0 + box.x1) * 128), round((0.6 * box.y0 + 0.4 * box.y1) * 256)
    red, green, blue = scene.image[y, x].astype(int)
    assert red > 150 and red > green + 80 and red > blue + 80


def test_captions_differ_in_words_and_leave_parts_out_when_asked():
    composition = composition_of(11)
    told = {tell(composition, np.random.default_rng(seed)) for seed in range(30)}
    assert len(told) > 5
    short = tell(composition, np.random.default_rng(0), leave_out=1.0)
    assert len(short) < min(map(len, told))


def test_the_word_list_of_the_embedded_model_reads_exactly_what_captions_tell():
    words = read_word_list("scene_words")
    names = {word.name for word in words.words}
    for seed in range(300):
        composition = composition_of(seed)
        rng = np.random.default_rng(seed)
        parsed = words.parse(tell(composition, rng), max_words=32)
        assert not parsed.unknown and not parsed.left_out
        told = {(fact.color, fact.name) if fact.color else (fact.name,) for fact in composition.facts}
        assert {words.name(token) for token in parsed.tokens} == {name for fact in told for name in fact}
    assert names == {*PLACES, *TIMES, *SEASONS, *WEATHERS, *COLORS, "sky", *ALL_THINGS}
