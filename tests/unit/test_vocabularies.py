"""Published class names and colors: complete, in the order that the models were trained with, told apart."""

from __future__ import annotations

import itertools
import math

import pytest

from taming.conditioning import ClassCondition
from taming.conditioning.labels import find_labels
from taming.conditioning.vocabularies import VOCABULARIES, vocabulary
from taming.data import SEGMENT_NAMES
from taming.errors import ConfigError

SIZES = {
    "imagenet": 1000,
    "ade20k": 151,
    "coco_stuff": 183,
    "sflckr": 182,
    "coco_scenes": 171,
    "open_images": 340,
    "scenes": len(SEGMENT_NAMES),
}
DRAWN = ("ade20k", "coco_stuff", "sflckr", "scenes")
UNUSED_IN_COCO = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91}
SPELLED_AS_IN_COCO = {"street sign", "hat", "shoe", "eye glasses", "plate", "mirror"}
SPELLED_AS_IN_COCO |= {"window", "desk", "door", "blender", "hair brush"}


@pytest.mark.parametrize("name", VOCABULARIES)
def test_a_vocabulary_has_a_name_for_every_label_of_its_models(name):
    assert len(vocabulary(name).names) == SIZES[name]


@pytest.mark.parametrize("name", VOCABULARIES)
def test_every_name_finds_its_own_label_and_no_other(name):
    """Case, hyphens and underscores do not count: "Cardigan" is a dog, and "cardigan" was one too."""
    names = vocabulary(name).names
    assert len({label.lower().replace("-", " ").replace("_", " ") for label in names}) == len(names)
    config = ClassCondition(num_classes=len(names), class_names=names)
    for number in range(0, len(names), 11):
        assert find_labels(config, 2000, names[number].upper()) == [number]


@pytest.mark.parametrize("name", VOCABULARIES)
def test_names_are_plain_text(name):
    for label in vocabulary(name).names:
        assert label == label.strip() and label.isascii() and label.isprintable() and label and "," not in label


def test_our_own_vocabulary_is_that_of_the_scenes():
    assert vocabulary("scenes").names == SEGMENT_NAMES


@pytest.mark.parametrize("name", DRAWN)
def test_a_drawn_vocabulary_has_a_color_for_every_label(name):
    colors = vocabulary(name).colors
    assert len(colors) == SIZES[name]
    assert all(0 <= value <= 255 for color in colors for value in color)


@pytest.mark.parametrize("name", sorted(set(VOCABULARIES) - set(DRAWN)))
def test_classes_that_nobody_draws_have_no_colors(name):
    assert vocabulary(name).colors == ()


@pytest.mark.parametrize(
    ("name", "label", "meaning"),
    [
        ("imagenet", 0, "tench"),
        ("imagenet", 134, "crane (bird)"),
        ("imagenet", 517, "crane"),
        ("imagenet", 207, "golden retriever"),
        ("imagenet", 980, "volcano"),
        ("imagenet", 999, "toilet tissue"),
        ("ade20k", 0, "unlabeled"),
        ("ade20k", 1, "wall"),
        ("ade20k", 3, "sky"),
        ("ade20k", 150, "flag"),
        ("coco_stuff", 0, "unlabeled"),
        ("coco_stuff", 1, "person"),
        ("coco_stuff", 92, "banner"),
        ("coco_stuff", 182, "wood"),
        ("sflckr", 0, "person"),
        ("sflckr", 156, "sky-other"),
        ("sflckr", 181, "wood"),
        ("coco_scenes", 0, "person"),
        ("coco_scenes", 1, "traffic light"),
        ("coco_scenes", 162, "toothbrush"),
        ("coco_scenes", 170, "cage"),
        ("open_images", 0, "Tortoise"),
        ("open_images", 339, "Suitcase"),
    ],
)
def test_labels_mean_what_the_models_were_trained_on(name, label, meaning):
    assert vocabulary(name).names[label] == meaning


def test_imagenet_has_the_names_of_torchvision_but_for_those_that_it_tells_apart():
    published = pytest.importorskip("torchvision.models._meta")._IMAGENET_CATEGORIES
    pairs = zip(published, vocabulary("imagenet").names, strict=True)
    changed = {(theirs, ours) for theirs, ours in pairs if theirs != ours}
    assert changed == {
        ("crane bird", "crane (bird)"),
        ("maillot tank suit", "maillot (tank suit)"),
        ("Cardigan", "Cardigan (dog)"),
    }


def test_coco_things_have_the_ids_that_torchvision_gives_them():
    published = pytest.importorskip("torchvision.models._meta")._COCO_CATEGORIES
    ours = vocabulary("coco_stuff").names
    assert {number for number, name in enumerate(published) if name == "N/A"} | {91} == UNUSED_IN_COCO
    assert {ours[number] for number in UNUSED_IN_COCO} == SPELLED_AS_IN_COCO
    for number, name in enumerate(published):
        assert number == 0 or number in UNUSED_IN_COCO or ours[number] == name


def test_sflckr_numbers_coco_stuff_from_zero():
    shifted, full = vocabulary("sflckr"), vocabulary("coco_stuff")
    assert shifted.names == full.names[1:]
    assert shifted.colors == full.colors[1:]


def test_scene_models_number_coco_in_the_order_of_its_ids_as_text():
    """The reference sorts strings, so 10 comes before 2; classes that no picture has are left out."""
    full = vocabulary("coco_stuff").names
    ids = sorted(str(number) for number in range(1, 183) if number not in UNUSED_IN_COCO)
    assert vocabulary("coco_scenes").names == tuple(full[int(text)] for text in ids)


def test_open_images_has_no_class_that_is_mapped_to_another():
    names = set(vocabulary("open_images").names)
    assert names >= {"Person", "Cattle", "Ball", "Knife", "Sandwich", "Couch", "Clock"}
    assert names.isdisjoint({"Man", "Woman", "Boy", "Girl", "Bull", "Football", "Tennis ball", "Kitchen knife"})
    assert names.isdisjoint({"Submarine sandwich", "Sofa bed", "Alarm clock", "Wall clock"})


def test_only_road_and_skyscraper_share_a_color():
    """They do in the published ADE20K palette; everything else survives being drawn and read."""
    for name in DRAWN:
        known = vocabulary(name)
        shared = [
            (a, b)
            for (a, x), (b, y) in itertools.combinations(zip(known.names, known.colors, strict=True), 2)
            if x == y
        ]
        assert shared == ([("road", "skyscraper")] if name == "ade20k" else [])


@pytest.mark.parametrize("name", ["coco_stuff", "sflckr"])
def test_colors_of_coco_stuff_stay_apart_under_noise(name):
    assert min(math.dist(x, y) for x, y in itertools.combinations(vocabulary(name).colors, 2)) > 19


@pytest.mark.parametrize(
    ("name", "label", "color"),
    [
        ("ade20k", "wall", (120, 120, 120)),
        ("ade20k", "sky", (6, 230, 230)),
        ("ade20k", "flag", (92, 0, 255)),
        ("coco_stuff", "unlabeled", (0, 0, 0)),
        ("coco_stuff", "person", (220, 20, 60)),
        ("coco_stuff", "sky-other", (70, 130, 180)),
        ("coco_stuff", "tree", (107, 142, 35)),
        ("coco_stuff", "rug", (250, 141, 255)),
    ],
)
def test_colors_are_those_that_segmentation_nodes_draw(name, label, color):
    known = vocabulary(name)
    assert known.colors[known.names.index(label)] == color


@pytest.mark.parametrize("name", ["cityscapes", "", "ImageNet", "../vocabularies/ade20k"])
def test_an_unknown_vocabulary_is_refused_with_the_known_ones(name):
    with pytest.raises(ConfigError, match="imagenet, ade20k, coco_stuff, sflckr, scenes, coco_scenes, open_images"):
        vocabulary(name)
