"""Overrides of a recipe: text is what is typed, the rest is read by the type of its field or refused by its name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recipes import write_recipe
from taming.cli import main
from taming.configs import OPEN
from taming.errors import ConfigError
from taming.training.recipe import Phase, Recipe, read_recipe

PRINTABLE = st.characters(exclude_categories=("C", "Zl", "Zp"), exclude_characters="/")
FOLDER_NAMES = st.text(PRINTABLE, min_size=1, max_size=40)
TYPED = [
    *("2021", "007", "0x10", "1e3", "1_000", "1:30", ".5", "2021-01-01", "on", "off", "yes", "no", "true", "null"),
    *("none", "cats: black", "{a: b}", "[best] cats", "[1, 2]", "@home", "`x`", "!cats", "&cats", "*.tar", "%1", "#1"),
    *("cats # 1", "ende ", " start", "a=b", "a, b", "C:\\new\\tables", "\\\\nas\\cats", "it's", '6" nails', "- cats"),
    *(
        "${HOME}",
        "$HOME",
        "???",
        "?",
        "~/pics",
        "~",
        "caf\u00e9 \U0001f408",
        "\u732b",
        "=",
        '"',
        "'",
        "|",
        ">",
        "%TEMP%",
    ),
]


def overridden(*overrides: str) -> Recipe:
    return read_recipe("pictures_vqgan", ["data.folder=pictures", *overrides])


@pytest.mark.parametrize("text", TYPED)
def test_a_text_is_what_is_typed(text: str):
    """YAML made numbers, booleans, lists, dates and errors of them, and dropped blanks and comments."""
    assert overridden(f"data.folder={text}").data.folder == text
    assert overridden(f"init_from={text}").init_from == text


@settings(max_examples=80, deadline=None)
@given(FOLDER_NAMES.filter(lambda name: name[0] + name[1:][-1:] not in ('""', "''", "\u201c\u201d", "\u2018\u2019")))
def test_any_printable_folder_name_arrives_as_typed(name: str):
    recipe = overridden(f"data.folder={name}", f"init_from=/pictures/{name}/cats")
    assert recipe.data.folder == name and recipe.init_from == f"/pictures/{name}/cats"


@pytest.mark.parametrize(("first", "last"), ['""', "''", "\u201c\u201d"])
def test_quotes_around_a_text_are_left_out(first: str, last: str):
    """Windows' Copy as path has them, and YAML knew them, with backslashes as escapes."""
    path = "C:\\new pictures\\table"
    assert overridden(f"data.folder={first}{path}{last}").data.folder == path


def test_quotes_in_the_name_of_a_folder_that_is_there_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "'best'").mkdir()
    assert overridden("data.folder='best'").data.folder == "'best'"
    assert overridden("data.folder='worst'").data.folder == "worst"


READ = [
    ("seed=010", "seed", 10),
    ("seed=1_000", "seed", 1000),
    ("seed=0x10", "seed", 16),
    ('seed="9"', "seed", 9),
    ("seed=7 # of nine", "seed", 7),
    ("seed = 7", "seed", 7),
    ("ema_decay=.5", "ema_decay", 0.5),
    ("ema_decay=5E-1", "ema_decay", 0.5),
    ("identity_start=On", "identity_start", True),
    ("identity_start= true", "identity_start", True),
    ("identity_start=no", "identity_start", False),
    ("precision=bfloat16 ", "precision", "bfloat16"),
    ("phases=[{steps: 2, batch_size: 3}]", "phases", (Phase(2, 3),)),
    ("phases=[{steps: 2, batch_size: 3, crop_px: 16}] # short", "phases", (Phase(2, 3, 16),)),
    ("condition.class_prompts={on: a lamp, 007: a spy}", "condition.class_prompts", {"on": "a lamp", "007": "a spy"}),
    ("condition.class_prompts.St. Bernard=a dog, big", "condition.class_prompts", {"St. Bernard": "a dog, big"}),
    ("optimizer.betas=[0.5, 0.9]", "optimizer.betas", (0.5, 0.9)),
    ("optimizer.betas[1]=0.5", "optimizer.betas", (0.9, 0.5)),
    ("optimizer={lr: 1e-3}", "optimizer.lr", 1e-3),
    ("data={flip: off, folder: 007}", "data.folder", "007"),
]


@pytest.mark.parametrize(("override", "field", "value"), READ, ids=[override for override, _, _ in READ])
def test_what_is_no_text_is_read_by_the_type_of_its_field(override: str, field: str, value: object):
    found: object = overridden("optimizer.betas=[0.9,0.99]", override)
    for name in field.split("."):
        found = getattr(found, name)
    assert found == value and type(found) is type(value)


def test_parts_of_models_and_losses_are_read_by_their_types_too():
    recipe = overridden(
        *("model.n_embed=0512", "model.legacy=off", "model.quantizer=ema", "model.unknown_index=null"),
        *("model.ch_mult=[1, 02]", 'loss.lpips=[007.pth, on, "C:\\new, old\\vgg.pth"]', "loss.r1=1e1"),
    )
    wanted = {"n_embed": 512, "legacy": False, "quantizer": "ema", "unknown_index": None, "ch_mult": [1, 2]}
    assert wanted.items() <= recipe.model.items()
    assert recipe.loss["lpips"] == ["007.pth", "on", "C:\\new, old\\vgg.pth"] and recipe.loss["r1"] == 10


def test_a_section_keeps_what_its_override_does_not_name():
    before, after = overridden(), overridden("optimizer={lr: 1e-3}", "phases[0].steps=9")
    assert after.optimizer == replace(before.optimizer, lr=1e-3)
    assert after.phases == (replace(before.phases[0], steps=9), *before.phases[1:])


REFUSED = {
    "optimizer.lr=fast": "optimizer.lr: expected a number of 0 or more, found 'fast'.",
    "optimizer.lr=": "optimizer.lr: expected a number of 0 or more, found ''.",
    "optimizer.lr=nan": "optimizer.lr: expected a number of 0 or more, found nan.",
    "optimizer.lr=0,5": "optimizer.lr: expected a number of 0 or more, found '0,5'.",
    "seed=1.5": "seed: expected a whole number of 0 or more, found '1.5'.",
    "seed=1:30": "seed: expected a whole number of 0 or more, found '1:30'.",
    "seed=true": "seed: expected a whole number of 0 or more, found 'true'.",
    f"seed={'9' * 5000}": "seed: expected a whole number of 0 or more, found '999",
    "data.flip=maybe": "data.flip: expected true or false, found 'maybe'.",
    "data.flip=1": "data.flip: expected true or false, found '1'.",
    "precision=half": "precision: expected one of float32, bfloat16, float16, found 'half'.",
    "optimizer.betas=0.9": "optimizer.betas: expected a list of 2, found '0.9'.",
    "optimizer.betas=[0.9]": "optimizer.betas: expected a list of 2, found [0.9].",
    "model.ch_mult=[1, two]": "model.ch_mult: expected a whole number of 0 or more, found 'two'.",
    "model.n_embed=many": "model.n_embed: expected a whole number of 0 or more, found 'many'.",
    "loss.gumbel=3": "loss.gumbel: expected the fields of a GumbelTemperature, found '3'.",
    "model=3": "model: expected names and values, found '3'.",
    "optimizer=3": "optimizer: expected the fields of a Optimizer, found '3'.",
    "phases=[{steps: 1": "phases: expected YAML such as {name: value}, found '[{steps: 1'",
    "phases=[&a {steps: 1, batch_size: 1}, *a]": "phases: aliases (*name) are not followed",
    "phases[7].steps=1": "phases[7].steps: the list has no entry '7' (entries: 1, the first is 0).",
    "seed.first=1": "seed.first: this is one value and has no part 'first'.",
    "pictures": "expected key=value, found 'pictures'. On a command line, a value with blanks needs quotes.",
    "data.foldr=x": "unknown name 'foldr'; did you mean folder?",
    "=x": "unknown name ''",
}


@pytest.mark.parametrize(("override", "words"), REFUSED.items(), ids=[override[:40] for override in REFUSED])
def test_what_cannot_be_read_is_refused_by_its_field_and_what_was_found(override: str, words: str):
    with pytest.raises(ConfigError) as error:
        overridden(override)
    assert words in str(error.value)


def test_a_value_that_a_preset_leaves_open_may_be_called_like_that(tmp_path: Path):
    file = str(write_recipe(tmp_path, "vqgan", data={"folder": OPEN, "size_px": OPEN}))
    with pytest.raises(ConfigError, match=r"recipe.yaml needs data.folder and data.size_px"):
        read_recipe(file)
    with pytest.raises(ConfigError, match=r"recipe.yaml needs data.size_px. Give it as data.size_px=VALUE"):
        read_recipe(file, [f"data.folder={OPEN}"])
    assert read_recipe(file, [f"data.folder={OPEN}", "data.size_px=32"]).data.folder == OPEN


def test_recipes_and_weights_are_found_in_the_home_folder_and_in_quotes(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    write_recipe(tmp_path, "vqgan")
    assert read_recipe("~/recipe.yaml") == read_recipe(f'"{tmp_path / "recipe.yaml"}"')
    assert main(["convert", "embedded/scenes_vqgan.safetensors", "--out=~/copy.safetensors"]) == 0
    assert main(["inspect", '"~/copy.safetensors"']) == 0
    assert str(tmp_path / "copy.safetensors") in capsys.readouterr().out
