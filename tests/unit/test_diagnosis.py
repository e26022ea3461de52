"""Runs that go wrong: they stop with the last good state, and say why."""

from dataclasses import replace

import pytest

from recipes import write_recipe
from short_runs import make_task, read_state
from taming.errors import TrainingError
from taming.training.diagnosis import Watch
from taming.training.loop import train
from taming.training.recipe import read_recipe


def test_a_run_that_becomes_nan_stops_with_the_last_good_state(tmp_path, scenes, monkeypatch):
    recipe = read_recipe(str(write_recipe(tmp_path, "vqgan", save_minutes=0)))
    task = make_task(recipe, scenes)
    turn = task.turns[0]

    def spoiled(batch, step):
        loss, figures = turn.loss(batch, step)
        return (loss * float("nan"), {**figures, "l1": float("nan")}) if step == 3 else (loss, figures)

    monkeypatch.setattr(task, "turns", [replace(turn, loss=spoiled)])
    with pytest.raises(TrainingError, match="step 3: l1 became NaN .* Halve optimizer.lr"):
        train(task, recipe, tmp_path)
    state = read_state(tmp_path)
    assert state["step"] == 3
    assert all(t.isfinite().all() for t in state["modules"]["vqgan"].values())


def test_a_loss_that_grows_tenfold_is_called_diverged():
    watch = Watch("loss")
    found = [watch.look({"loss": 1.0 if step < 300 else 1.0 + step / 10}) for step in range(600)]
    first = next(step for step, word in enumerate(found) if word)
    assert 300 < first < 450 and "grew from 1 to" in str(found[first]) and "warmup_steps" in str(found[first])
    assert not any(Watch("loss").look({"loss": 1 / (1 + step)}) for step in range(600))
