"""The page on the library does what it says: its Python runs, and its commands are commands."""

from __future__ import annotations

import argparse
import re
import runpy
import shlex
from typing import Any

import pytest
import torch

from repository import ROOT
from taming import errors
from taming.cli import COMMANDS
from taming.zoo import find_model

PAGE = (ROOT / "docs" / "headless.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the Python of the page leaves, run from top to bottom in a folder of its own."""
    folder = tmp_path_factory.mktemp("headless")
    script = folder / "page.py"
    script.write_text("\n\n".join(text for kind, text in BLOCKS if kind == "python"), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return runpy.run_path(str(script))


def test_images_have_the_shapes_and_ranges_of_the_comments(results):
    for name in ("image", "changed"):
        assert results[name].shape == (2, 3, 128, 128) and 0 <= results[name].min() < results[name].max() <= 1
    assert results["pixels"].shape == (2, 3, 128, 128)
    assert results["quantized"].indices.shape == (2, 16, 16)
    assert results["indices"].shape == (2, 16, 18)


def test_what_was_outside_of_the_mask_is_kept(results):
    assert not results["known"].all() and results["known"].any()
    assert torch.equal(results["indices"][:, :, :16], results["quantized"].indices)


def test_saved_and_trained_models_load_again(results):
    assert torch.equal(results["again"].pos_emb, results["transformer"].pos_emb)
    assert results["its_vqgan"].num_tokens == results["vqgan"].num_tokens
    assert results["trained"].num_tokens == 16


def test_the_embedded_models_are_what_the_comments_say(results):
    assert (results["vqgan"].factor, results["vqgan"].num_tokens) == (8, 1024)
    assert results["transformer"].config.condition.class_names[:2] == ("alpine", "sunset_sea")


def test_every_error_class_that_the_page_names_exists():
    named = re.findall(r"`(?:taming\.errors\.)?(\w+Error)`", PAGE)
    assert len(named) >= 7 and all(issubclass(getattr(errors, name), errors.TamingError) for name in named)


def test_every_command_is_one_and_the_table_has_them_all():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    for command in COMMANDS:
        command.add(commands)
    lines = [line for kind, text in BLOCKS if kind == "bash" for line in text.splitlines()]
    used = []
    for line in lines:
        launcher, _, arguments = line.partition(" -m taming ")
        assert launcher == "python"
        options = parser.parse_args(shlex.split(arguments))
        used.append(options.command)
        if options.command == "download":
            find_model(options.name)
    assert set(used) == set(commands.choices)
    assert re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE) == list(commands.choices)
