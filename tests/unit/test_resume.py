"""Runs that go on exactly where they ended, however they ended."""

import shutil
import signal
from dataclasses import replace

import pytest
import torch

from recipes import RECIPES, write_recipe
from short_runs import differences, make_task, read_state
from taming.errors import ConfigError
from taming.training.distributed import find_processes
from taming.training.loop import Run, train
from taming.training.recipe import read_recipe


class Killed(Exception):
    """Stands for a process that ends without a chance to save."""


@pytest.mark.parametrize("stop", [KeyboardInterrupt, Killed])
@pytest.mark.parametrize("task_name", RECIPES)
def test_a_stopped_run_goes_on_as_if_it_had_not_been_stopped(task_name, stop, run_folder, scenes):
    recipe = read_recipe(str(write_recipe(run_folder, task_name, save_minutes=0)))
    whole, parts = run_folder / "whole", run_folder / "parts"
    for folder in (whole, parts):
        folder.mkdir()
        shutil.copy(run_folder / "tokenizer.safetensors", folder)
    expected, seen = {}, {}

    def stop_after_four(step: int, figures: dict[str, float]) -> None:
        seen[step] = figures
        if step == 3:
            raise stop

    train(make_task(recipe, scenes), recipe, whole, expected.__setitem__)
    with pytest.raises(stop):
        train(make_task(recipe, scenes), recipe, parts, stop_after_four)
    torch.manual_seed(1234)  # another process starts from another global seed
    train(make_task(recipe, scenes), recipe, parts, seen.__setitem__)
    assert seen == expected
    differing = differences(read_state(whole), read_state(parts))
    assert differing == [], f"{len(differing)} values differ after resuming: {differing[:5]}"


def test_ctrl_c_in_the_middle_of_a_step_waits_for_its_end(tmp_path, scenes, monkeypatch):
    """A step that is cut in half has moved some weights and not others, and cannot be continued."""
    recipe = read_recipe(str(write_recipe(tmp_path, "vqgan")))
    task, handler = make_task(recipe, scenes), signal.getsignal(signal.SIGINT)
    whole_batch, steps = task.batch, []

    def batch(number: int, rng):
        if number == 2:
            signal.raise_signal(signal.SIGINT)
        return whole_batch(number, rng)

    monkeypatch.setattr(task, "batch", batch)
    with pytest.raises(KeyboardInterrupt):
        train(task, recipe, tmp_path, lambda number, figures: steps.append(number))
    assert steps == [0, 1] and read_state(tmp_path)["step"] == 3
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_save_that_is_cut_off_leaves_the_state_before_it(tmp_path, scenes, monkeypatch):
    recipe = read_recipe(str(write_recipe(tmp_path, "vqgan")))
    run, file = Run(make_task(recipe, scenes), recipe, tmp_path, find_processes("cpu")), tmp_path / "state.pt"
    run.done = 3
    run._save()
    before = file.read_bytes()

    def cut_off(state: object, stream) -> None:
        stream.write(before[: len(before) // 2])
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", cut_off)
        with pytest.raises(OSError, match="no space"):
            run._save()
    assert file.read_bytes() == before and list(tmp_path.glob("*.partial")) == []
    assert Run(make_task(recipe, scenes), recipe, tmp_path, find_processes("cpu")).done == 3


def test_a_finished_run_is_not_trained_again(tmp_path, scenes):
    recipe = read_recipe(str(write_recipe(tmp_path, "vqgan")))
    steps = []
    figures = train(make_task(recipe, scenes), recipe, tmp_path, lambda step, figures: steps.append(step))
    state = read_state(tmp_path)
    again = train(make_task(recipe, scenes), recipe, tmp_path, lambda step, figures: steps.append(step))
    assert steps == list(range(5)) and again == figures
    assert differences(read_state(tmp_path), state) == []


def test_a_run_does_not_go_on_by_another_recipe(tmp_path, scenes):
    """It did so in silence, and the file that it left was of neither."""
    recipe = read_recipe(str(write_recipe(tmp_path, "vqgan")))
    train(make_task(recipe, scenes), recipe, tmp_path)
    before = (tmp_path / "state.pt").read_bytes()
    other = replace(recipe, seed=recipe.seed + 1)
    with pytest.raises(ConfigError, match="another recipe: seed: 5 -> 6\\."):
        train(make_task(other, scenes), other, tmp_path)
    assert (tmp_path / "state.pt").read_bytes() == before
    train(make_task(recipe, scenes), replace(recipe, save_minutes=1.0, export_dtype="float16"), tmp_path)
