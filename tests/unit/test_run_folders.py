"""What a training run may replace in its folder: what is its own, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from recipes import write_recipe
from short_runs import make_task
from taming.checkpoints import load_transformer
from taming.errors import TamingError
from taming.training.loop import check_run_folder
from taming.training.recipe import read_recipe
from taming.training.tasks.transformer import copy_beside


def test_a_model_in_the_folder_is_of_the_run_whose_state_is_there(tmp_path: Path):
    check_run_folder(tmp_path / "new", "Do this.")
    (tmp_path / "model.safetensors").write_bytes(b"mine")
    with pytest.raises(TamingError, match=r"model.safetensors is there already.*No state\.pt beside it.*Do this\."):
        check_run_folder(tmp_path, "Do this.")
    (tmp_path / "state.pt").touch()
    check_run_folder(tmp_path, "Do this.")


def test_a_tokenizer_is_copied_beside_a_model_without_replacing_another_of_its_name(tmp_path: Path):
    source, model = tmp_path / "tokenizer.safetensors", tmp_path / "run" / "model.safetensors"
    source.write_bytes(b"codes")
    model.parent.mkdir()
    assert copy_beside(source, model) == model.with_name("tokenizer.safetensors")
    assert copy_beside(source, model) == model.with_name("tokenizer.safetensors"), "it is there already"
    source.write_bytes(b"other")
    for _ in range(2):
        assert copy_beside(source, model) == model.with_name("tokenizer_2.safetensors")
    contents = {file.name: file.read_bytes() for file in model.parent.iterdir()}
    assert contents == {"tokenizer.safetensors": b"codes", "tokenizer_2.safetensors": b"other"}
    assert copy_beside(model.with_name("tokenizer.safetensors"), model) == model.with_name("tokenizer.safetensors")


def test_a_tokenizer_with_the_name_of_the_model_gets_another(tmp_path: Path):
    source = tmp_path / "model.safetensors"
    source.write_bytes(b"codes")
    (tmp_path / "run").mkdir()
    assert copy_beside(source, tmp_path / "run" / "model.safetensors").name == "first_stage.safetensors"


def test_an_exported_transformer_finds_its_tokenizer_beside_a_foreign_file_of_that_name(run_folder: Path, scenes):
    """The file was replaced."""
    recipe, out = read_recipe(str(write_recipe(run_folder, "transformer"))), run_folder / "run"
    out.mkdir()
    (out / "tokenizer.safetensors").write_bytes(b"mine")
    make_task(recipe, scenes).export(out / "model.safetensors")
    assert (out / "tokenizer.safetensors").read_bytes() == b"mine"
    _, first_stage = load_transformer(out / "model.safetensors")
    assert first_stage is not None
