"""Prompts as words: whatever the wording, the order or the language, the same scene is the same tokens."""

from __future__ import annotations

import json
import logging
import random
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from taming.conditioning import Word, WordCondition, WordList, read_word_list
from taming.conditioning.function_words import split_words
from taming.conditioning.prompts import report_prompt
from taming.conditioning.words import Phrase
from taming.configs import config_from_dict
from taming.data.scenes.captions import tell
from taming.data.scenes.composition import COLORS, PLACES, SEASONS, TIMES, WEATHERS, draw_composition
from taming.errors import ConfigError

SCENES = read_word_list("scene_words")
MAX_WORDS = 32
LINES = (Path(__file__).parent / "prompt_pairs.txt").read_text(encoding="utf-8").splitlines()
PAIRS = [tuple(part.strip() for part in line.split("|")) for line in LINES if not line.startswith("#")]
UNSORTED = WordList((Word("cat"), Word("dog"), Word("red", is_modifier=True)), is_sorted=False)


def names(prompt: str, words: WordList = SCENES, max_words: int = MAX_WORDS) -> str:
    return " ".join(words.name(token) for token in words.parse(prompt, max_words).tokens)


def logged(prompt: str, caplog: pytest.LogCaptureFixture, max_words: int = MAX_WORDS) -> str:
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        report_prompt(WordCondition(word_list=SCENES, max_words=max_words), prompt)
    return caplog.text


@pytest.mark.parametrize(("tokens", "english", "korean"), PAIRS, ids=[pair[1] for pair in PAIRS])
def test_a_prompt_and_its_korean_twin_are_the_same_tokens(tokens, english, korean):
    assert names(english) == names(korean) == tokens
    assert SCENES.parse(english, MAX_WORDS).unknown == SCENES.parse(korean, MAX_WORDS).unknown == ()


def test_the_order_of_what_is_listed_does_not_matter():
    parts = ["a red boat", "mountains", "two blue balloons", "a lake", "white and pink flowers", "at night", "no cars"]
    shuffled = random.Random(0)
    expected = "mountains lake night blue balloon red boat pink white flowers"
    for _ in range(20):
        shuffled.shuffle(parts)
        assert names(", ".join(parts)) == expected


def test_an_unsorted_list_keeps_what_is_written_and_says_it_again():
    assert names("red dogs, a cat and a dog", UNSORTED) == "red dog cat dog"


@pytest.mark.parametrize(
    ("prompt", "tokens"),
    [
        ("snow", "winter"),
        ("it is snowing", "snowfall"),
        ("sunrise", "dawn"),
        ("orange", "orange"),
        ("palm trees and other trees", "trees palm"),
        ("fall", "autumn"),
        ("a camp fire at the camp", "tent campfire"),
        ("a light house by a house", "cabin lighthouse"),
        ("SNOW\u2010CAPPED Mountain\u2019s peak", "mountains winter"),
        ("boats, boat, a boat's sail", "boat"),
        ("\uff42\uff4f\uff41\uff54", "boat"),  # full width
        ("a flower_field", "field"),
        ("a landscape", ""),
    ],
)
def test_words_that_could_mean_two_things_mean_what_people_mean(prompt, tokens):
    assert names(prompt) == tokens


@pytest.mark.parametrize(
    ("prompt", "tokens"),
    [
        ("a red boat", "red boat"),
        ("a red wooden boat", "red boat"),
        ("red and white boats", "red white boat"),
        ("the sky is red", "sky red"),
        ("the red of a boat", "boat red"),
        ("red, a boat", "boat red"),
        ("sea, red, boat", "sea boat red"),
        ("red, white and blue flowers", "red blue white flowers"),
        ("red boats and a boat", "boat red boat"),
        ("lavender", "purple flowers"),
    ],
)
def test_a_color_goes_with_the_noun_that_it_precedes(prompt, tokens):
    assert names(prompt) == tokens


@pytest.mark.parametrize(
    ("prompt", "tokens", "unwanted"),
    [
        ("a beach without palm trees", "beach", "palm"),
        ("no red boats, a beach", "beach", "red boat"),
        ("no trees or houses, a beach", "beach", "trees, cabin"),
        ("no people on the beach", "beach", ""),
        ("no people or boats on the beach", "beach", "boat"),
        ("no tall trees", "", "trees"),
        ("no. a beach", "beach", ""),
        ("\ub098\ubb34 \uc5c6\ub294 \ud574\ubcc0", "beach", "trees"),  # a beach without trees
        ("\uc0ac\ub78c \uc5c6\ub294 \ud574\ubcc0", "beach", ""),  # without people
    ],
)
def test_what_is_not_wanted_is_left_out_and_goes_to_the_negative_prompt(prompt, tokens, unwanted, caplog):
    assert names(prompt) == tokens
    assert ", ".join(SCENES.parse(prompt, MAX_WORDS).unwanted) == unwanted
    message = logged(prompt, caplog)
    assert (f"negative prompt: {unwanted}." in message) == bool(unwanted)


def test_unknown_words_are_named_with_the_nearest_known_form(caplog):
    message = logged("a bot on a lakke, with a xylophone", caplog)
    assert "bot (did you mean boat?)" in message and "lakke (did you mean lake?)" in message
    assert "xylophone." in message
    assert logged("a boat in a picture of the sea", caplog) == ""


def test_many_unknown_words_are_counted(caplog):
    message = logged(" ".join(f"zq{number}" for number in range(30)), caplog)
    assert "zq7" in message and "zq8" not in message and "and 22 more" in message


def test_a_long_prompt_is_cut_after_whole_units_and_the_rest_is_named(caplog):
    prompt = "stars, a red boat, a blue tent, mountains"
    assert names(prompt, max_words=4) == "stars red boat"
    assert "more than the 4 words" in logged(prompt, caplog, max_words=4)
    assert "Left out: blue tent, mountains." in caplog.text


@pytest.mark.parametrize(
    "prompt",
    ["", "   ", ",.;", "\U0001f304\U0001f3d4\ufe0f", "\ud800", "\x00\x1b[31m", "\u200d\u0301", "'" * 9, "the of"],
    ids=ascii,
)
def test_a_prompt_without_words_is_empty_and_nothing_is_logged_that_cannot_be_printed(prompt, caplog):
    assert SCENES.parse(prompt, MAX_WORDS).tokens == ()
    assert logged(prompt, caplog).isascii()


def test_words_between_hostile_characters_are_found_and_can_be_printed(caplog):
    prompt = "\ud800boat\udfff \u202equux\U0001f600 \x1b[2J"
    assert names(prompt) == "boat"
    logged(prompt, caplog).encode("utf-8")
    assert all(word.isprintable() for word in split_words(prompt))


@pytest.mark.parametrize(
    "part",
    ["boat ", "x", "\ub4e4", "snow covered in ", "\ufb03", "no ", "red ", "'s"],
    ids=ascii,
)
def test_a_prompt_of_a_hundred_thousand_characters_is_read_in_seconds(part, caplog):
    prompt = part * (100_000 // len(part))
    start = time.perf_counter()
    logged(prompt, caplog)
    logged(" ".join(f"w{number}" for number in range(15_000)), caplog)
    assert time.perf_counter() - start < 5
    assert len(caplog.text) < 2000


def test_every_form_of_the_scenes_means_its_own_token():
    for word in SCENES.words:
        for form in (word.name, *word.forms):
            assert names(form) == word.name, form
    for phrase in SCENES.phrases:
        for form in phrase.forms:
            assert sorted(names(form).split()) == sorted(phrase.names), form


def test_the_scenes_have_a_word_for_each_of_their_facts():
    known = {word.name for word in SCENES.words}
    assert {*PLACES, *TIMES, *SEASONS, *WEATHERS, *COLORS} <= known
    assert len(SCENES.words) < 64 < sum(len(word.forms) for word in SCENES.words)


def test_the_captions_of_scenes_mean_all_of_their_facts_and_nothing_else():
    for seed in range(200):
        rng = np.random.default_rng(seed)
        composition = draw_composition(rng, held_out=seed % 2 == 1)
        facts = {word for fact in composition.facts for word in (fact.name, fact.color) if word}
        caption = tell(composition, rng)
        assert set(names(caption).split()) == facts, caption
        assert SCENES.parse(caption, MAX_WORDS).unknown == (), caption


def test_a_word_list_survives_the_metadata_of_a_file():
    values = json.loads(json.dumps(asdict(SCENES)))
    assert config_from_dict(WordList, values, "file") == SCENES


@pytest.mark.parametrize(
    ("words", "phrases", "message"),
    [
        ((), (), "at least one word"),
        ((Word("cat"), Word("dog", ("cats", "Cat"))), (), "'Cat' stands for two different things"),
        ((Word("..."),), (), "'...' is no word"),
        ((Word("cat\n"),), (), "is no word"),
        ((Word("cat", ("\ud800cat",)),), (), "is no word"),
        ((Word("cat"),), (Phrase(("kitten",), ("small", "cat")),), "kitten.*no word 'small'"),
    ],
)
def test_a_word_list_that_contradicts_itself_is_refused(words, phrases, message):
    with pytest.raises(ConfigError, match=message):
        WordList(words, phrases)


def test_a_list_that_does_not_exist_is_answered_with_those_that_do():
    with pytest.raises(ConfigError, match="'sceens'.*scene_words"):
        read_word_list("sceens")
