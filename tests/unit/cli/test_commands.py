"""The command line as a whole: its commands, their help, their options."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import taming
from command_line import refusal
from taming.cli import COMMANDS, main

ROOT = Path(taming.__file__).parents[1]


def test_the_module_runs_and_lists_every_command():
    result = subprocess.run([sys.executable, "-m", "taming", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0
    for command in ("encode", "decode", "reconstruct", "sample", "train", "convert", "inspect", "download"):
        assert f"\n    {command}" in result.stdout


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.__name__.rpartition(".")[2])
def test_every_command_explains_each_of_its_options(command, capsys: pytest.CaptureFixture[str]):
    name = command.__name__.rpartition(".")[2]
    with pytest.raises(SystemExit) as stopped:
        main([name, "--help"])
    assert stopped.value.code == 0
    lines = capsys.readouterr().out.partition("options:")[2].splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("  -")]
    ends = [*starts[1:], len(lines)]
    for start, end in zip(starts, ends, strict=True):
        block = " ".join(lines[start:end]).split()
        assert len(block) >= 4, f"{name}: {' '.join(block)} has no explanation"


def test_options_are_spelled_as_the_inputs_of_the_nodes(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["sample", "--help"])
    help_text = capsys.readouterr().out
    names = "transformer vqgan label seed temperature top_k top_p guidance_scale precision batch_size width height"
    assert [name for name in f"{names} image strength".split() if f"--{name.replace('_', '-')} " not in help_text] == []


def test_training_starts_from_the_command_line_and_explains_an_unknown_recipe(tmp_path: Path, capsys):
    error = refusal(["train", "no_such_recipe", "--out", str(tmp_path)], capsys)
    assert "scenes_vqgan" in error
