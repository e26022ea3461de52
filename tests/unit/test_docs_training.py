"""The page on training does what it says: its examples run, its commands are commands, its knobs exist."""

from __future__ import annotations

import argparse
import ast
import json
import re
import runpy
import shlex
from dataclasses import fields, replace
from pathlib import Path

import pytest

from photos import photo
from taming.cli import COMMANDS
from taming.configs import config_from_dict, preset_names
from taming.models import TransformerConfig, VQModelConfig
from taming.training import monitor as diagnosis
from taming.training.recipe import ConditionSettings, DataSettings, Optimizer, Phase, Recipe, read_recipe
from taming.training.state import MAY_CHANGE
from taming.training.tasks.transformer import TransformerLoss
from taming.training.tasks.vqgan import VQGANLoss

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
PROSE = re.sub(r"^```python\n.*?^```$", "", PAGE, flags=re.MULTILINE | re.DOTALL)
COMMAND_LINES = [line for kind, text in BLOCKS if kind == "bash" for line in text.splitlines()]
COMMAND_LINES += [" ".join(line.split()) for line in re.findall(r"`(python -m taming [^`]*)`", PAGE)]
SECTIONS = {
    "condition": (ConditionSettings,),
    "data": (DataSettings,),
    "optimizer": (Optimizer,),
    "model": (VQModelConfig, TransformerConfig),
    "loss": (VQGANLoss, TransformerLoss),
}
KNOB = re.compile(r"\b(condition|data|optimizer|model|loss)\.(?!safetensors)([a-z]\w*)(?![\w(])")


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the examples of the page ran in, one after the other, as in one file."""
    folder = tmp_path_factory.mktemp("page")
    for number in range(12):
        file = folder / "pictures" / ("cats", "dogs")[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        photo(number * 70, (40 + number, 36)).save(file)
    script = folder / "page.py"
    script.write_text("\n\n".join(text for kind, text in BLOCKS if kind == "python"), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        runpy.run_path(str(script))
    return folder


def test_every_example_runs_and_leaves_a_model_and_a_log(ran):
    assert sum(kind == "python" for kind, _ in BLOCKS) >= 5
    for name in ("plain", "edges", "own_encoder", "ramps", "gray"):
        written = {path.name for path in (ran / "runs" / name).iterdir()}
        assert written == {"state.pt", "log.jsonl", "model.safetensors"}, name
    rows = {name: json.loads((ran / "runs" / name / "log.jsonl").read_text()) for name in ("plain", "edges")}
    assert set(rows["edges"]) - set(rows["plain"]) == {"edges"}


def test_every_example_changes_what_is_trained(ran):
    rows = {(ran / "runs" / name / "log.jsonl").read_text() for name in ("plain", "own_encoder", "ramps", "gray")}
    assert len({json.loads(row)["psnr"] for row in rows}) >= 3


def test_every_command_is_one_and_its_recipe_can_be_read():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(required=True)
    for command in COMMANDS:
        command.add(commands)
    recipes = 0
    for line in COMMAND_LINES:
        launcher, _, arguments = line.partition(" -m taming ")
        assert launcher in ("python", "accelerate launch"), line
        options = parser.parse_args(shlex.split(arguments))
        if hasattr(options, "recipe"):
            recipe = read_recipe(options.recipe, options.overrides)
            is_vqgan = recipe.task != "transformer"
            config_from_dict(VQModelConfig if is_vqgan else TransformerConfig, recipe.model, "model")
            config_from_dict(VQGANLoss if is_vqgan else TransformerLoss, recipe.loss, "loss")
            recipes += 1
    assert recipes >= 7 and len(COMMAND_LINES) > recipes


def test_every_setting_that_the_page_names_exists():
    for section, name in KNOB.findall(PROSE):
        known = {field.name for cls in SECTIONS[section] for field in fields(cls)}
        assert name in known, f"{section}.{name}"
    assert len(set(KNOB.findall(PROSE))) > 20
    settings = {field.name for field in fields(Recipe)}
    assert {"precision", "accumulate", "checkpointing", "init_from", *MAY_CHANGE} <= settings
    assert all(f"`{name}`" in PAGE for name in MAY_CHANGE)


def test_the_page_knows_every_preset_for_ones_own_pictures():
    named = {name for name in preset_names() if name.startswith("pictures_")}
    assert named and all(f"| `{name}` |" in PAGE for name in named)


def test_the_table_of_symptoms_has_every_warning_and_turns_the_same_knobs():
    table = PAGE[PAGE.index("| symptom |") : PAGE.index("A run that stops with a diagnosis")]
    watch = diagnosis.Watch("loss", is_adversarial=True)
    diverged = [watch.look({"loss": float(step > 300)}) for step in range(600)]
    own_model = Recipe("vqgan", Optimizer(1e-4), (Phase(1, 1),), {})
    recipes = (None, own_model, *(replace(own_model, model={"quantizer": name}) for name in ("vq", "ema")))
    figures = ({"usage": 0.01}, {"peak": 1e3}, {"weight": 1e9})
    warnings = [diagnosis.remark(figure, recipe) for figure in figures for recipe in recipes]
    advice = [*filter(None, diverged), *filter(None, warnings), diagnosis.NOT_FINITE]
    assert len(advice) > len(warnings) == len(figures) * len(recipes)
    knobs = {f"{section}.{name}" for text in advice for section, name in KNOB.findall(text)}
    assert len(knobs) > 6 and [knob for knob in sorted(knobs) if knob not in table] == []
    for words in ("became NaN or infinite", "grew from", "Out of memory: going on with"):
        assert words in table
    assert f"{diagnosis.LOW_USAGE:g}" in table and f"{diagnosis.MAX_ADAPTIVE_WEIGHT:,.0f}" in table
    assert f"above {diagnosis.HIGH_PEAK:g}" in table


def test_examples_are_short_and_import_what_they_use():
    for kind, text in BLOCKS:
        if kind == "python":
            ast.parse(text)
            assert text.count("\n") < 30 and max(map(len, text.splitlines())) <= 120
