"""Kinds of conditions: one class each, written to files and read from them in one form for all."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open

from repository import ROOT
from taming.checkpoints import plan_transformer
from taming.conditioning import (
    KINDS,
    BoxCondition,
    BoxFormat,
    ClassCondition,
    ConditionConfig,
    CoordinateCondition,
    DepthCondition,
    ImageCondition,
    SegmentationCondition,
    Unconditional,
    Word,
    WordCondition,
    WordList,
)
from taming.errors import ConfigError

BOXES = BoxFormat(num_classes=3, num_tokens=32, max_objects=2)
WORDS = WordList((Word("boat"), Word("red", is_modifier=True)))
EXAMPLES = [
    Unconditional(sos_token=5, null_context=True),
    ClassCondition(num_classes=3, class_names=("a", "b", "c"), null_label=3),
    ClassCondition(num_classes=1000, vocabulary="imagenet"),
    WordCondition(WORDS, 4, class_names=("lake",), class_prompts=("red boat",)),
    CoordinateCondition(num_codes=16, down_factor=4),
    SegmentationCondition(num_classes=9, vocabulary="scenes", downsample_cond_size=64),
    DepthCondition(downsample_cond_size=32),
    ImageCondition(),
    BoxCondition(BOXES, class_names=("a", "b", "c")),
]
FIELDS_IN_FILES = (
    "kind sos_token num_classes class_names vocabulary null_label null_context num_codes down_factor "
    "downsample_cond_size boxes word_list max_words class_prompts"
)


def as_json(condition: ConditionConfig) -> dict[str, object]:
    return json.loads(json.dumps(condition.to_dict()))


def kind_of(condition: ConditionConfig) -> str:
    return condition.kind


def test_there_is_an_example_of_every_kind():
    assert {(each.kind, type(each)) for each in EXAMPLES} == set(KINDS.items())


@pytest.mark.parametrize("condition", EXAMPLES, ids=kind_of)
def test_a_condition_comes_back_from_a_file_as_the_class_of_its_kind(condition: ConditionConfig):
    found = ConditionConfig.from_dict(as_json(condition), "a file")
    assert type(found) is type(condition) and found == condition


@pytest.mark.parametrize("condition", EXAMPLES, ids=kind_of)
def test_a_file_names_the_fields_of_all_kinds_in_one_order(condition: ConditionConfig):
    """Files are compared byte by byte, and every version of the pack has written them so."""
    assert " ".join(condition.to_dict()) == FIELDS_IN_FILES


@pytest.mark.parametrize("condition", EXAMPLES, ids=kind_of)
def test_the_fields_of_its_own_kind_are_enough(condition: ConditionConfig):
    every = as_json(Unconditional())
    short = {name: value for name, value in as_json(condition).items() if value != every[name]}
    assert ConditionConfig.from_dict(short, "a file") == condition


@pytest.mark.parametrize("model", ["class", "segmentation"])
def test_an_embedded_model_says_what_it_said_when_it_was_written(model: str):
    file = ROOT / f"taming/assets/scenes_{model}_transformer.safetensors"
    with safe_open(file, "pt") as opened:
        stored = json.loads(opened.metadata()["taming"])["config"]["condition"]
    written = as_json(plan_transformer(file).config.condition)
    assert list(written)[: len(stored)] == list(stored)
    assert {name: written[name] for name in stored} == stored


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("class", "expected the fields of a ConditionConfig, found 'class'"),
        ({"kind": "text"}, "kind: expected one of unconditional, class, words"),
        ({"kind": ["class"]}, "kind: expected one of"),
        ({"kind": "class", "num_class": 3}, "unknown name 'num_class'; did you mean num_classes?"),
        ({"kind": "class", "num_classes": -1}, "num_classes: expected a whole number of 0 or more"),
        ({"kind": "class", "boxes": {"num_classes": 3}}, "boxes belong to the kind boxes, and the kind is class"),
        ({"kind": "boxes"}, "boxes belong to the kind boxes, and the kind is boxes"),
        ({"kind": "boxes", "boxes": 3}, "boxes: expected the fields of a BoxFormat, found 3"),
        ({"kind": "words", "max_words": 3}, "word_list and max_words belong to the kind words, and the kind is words"),
        ({"kind": "depth", "max_words": 3}, "max_words belongs to the kind words, and the kind is depth"),
        (
            {"class_names": ["a"]},
            "class_names belongs to the kind class or words or boxes, and the kind is unconditional",
        ),
        (
            {"kind": "words", "word_list": {"words": []}, "max_words": 2, "num_codes": 3},
            "num_codes belongs to the kind",
        ),
    ],
)
def test_values_that_are_no_condition_are_refused(values: object, message: str):
    with pytest.raises(ConfigError) as caught:
        ConditionConfig.from_dict(values, "a file")
    assert str(caught.value).startswith("a file: ") and message in str(caught.value)


@pytest.mark.parametrize("condition", EXAMPLES, ids=kind_of)
def test_a_sound_condition_fits_its_vocabulary_and_no_smaller_one(condition: ConditionConfig):
    largest = max(condition.largest_tokens().values(), default=0)
    condition.check(largest + 1)
    if largest:
        with pytest.raises(ConfigError, match=f"{largest} is not below vocab_size {largest}"):
            condition.check(largest)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (ClassCondition(num_classes=2, class_names=("a",)), "1 class_names for 2 classes"),
        (ClassCondition(num_classes=2, vocabulary="scene"), "there is no vocabulary 'scene'; known are"),
        (SegmentationCondition(num_classes=2, vocabulary="scenes"), "9 class_names for 2 classes"),
        (BoxCondition(BOXES, class_names=("a",)), "1 class_names for 3 classes"),
        (WordCondition(WORDS, 4, class_names=("a",)), "1 class_names for 0 classes"),
        (CoordinateCondition(num_codes=4), "num_codes and down_factor of 1 or more"),
    ],
)
def test_fields_that_contradict_each_other_are_refused(condition: ConditionConfig, message: str):
    with pytest.raises(ConfigError, match=message):
        condition.check(1024)


def test_a_kind_has_its_length_and_its_null_tokens():
    lengths = [condition.length(3, 5) for condition in EXAMPLES]
    assert lengths == [1, 1, 1, 4, 15, 0, 0, 15, BOXES.length]
    null_tokens = {condition.kind: condition.null_tokens(10) for condition in EXAMPLES if condition.null_tokens(10)}
    assert null_tokens == {"class": [3], "words": [11, 10, 10, 10]}


def test_the_kind_follows_from_the_class():
    with pytest.raises(ValueError, match="kind"):
        replace(ClassCondition(num_classes=3), kind="boxes")  # type: ignore[call-arg]


def test_maps_become_the_pixels_of_their_stage():
    labels = torch.tensor([[0, 1], [2, 1]])
    assert SegmentationCondition(num_classes=3).map_pixels(labels).argmax(1).tolist() == [labels.tolist()]
    assert DepthCondition().map_pixels(labels.float()).shape[0] == 1
    image = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(ImageCondition().map_pixels(image), image * 2 - 1)
