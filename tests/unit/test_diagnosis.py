"""Runs that go wrong: they stop with the last good state, and say why."""

from dataclasses import replace

import pytest

from recipes import write_recipe
from short_runs import make_task, read_state
from taming.errors import TrainingError
from taming.training.loop import train
from taming.training.monitor import HIGH_PEAK, Watch, advise_memory, remark
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


@pytest.mark.parametrize(
    ("task", "model", "advised"),
    [
        ("vqgan", {"quantizer": "vq"}, "Use model.quantizer ema"),
        ("vqgan", {"quantizer": "ema"}, "Use a later loss.quantize_from"),
        ("vqgan_decoder", {}, "first_stage"),
    ],
)
def test_a_collapsed_codebook_is_told_what_the_recipe_does_not_have_yet(task, model, advised, run_folder):
    """A recipe with quantizer ema was told to use it."""
    recipe = read_recipe(str(write_recipe(run_folder, task)))
    warning = str(remark({"usage": 0.01}, replace(recipe, model={**recipe.model, **model})))
    assert warning.startswith("Only 1% of the codebook is in use.") and advised in warning
    assert ("ema" in warning) == (model.get("quantizer") == "vq")


def test_a_spot_and_missing_memory_are_told_what_is_not_set_yet(run_folder):
    recipe = read_recipe(str(write_recipe(run_folder, "vqgan")))
    spot = {"peak": HIGH_PEAK + 1}
    assert "loss.peaks to 0.3" in str(remark(spot, recipe))
    assert "loss.peaks to 0.8" in str(remark(spot, replace(recipe, loss={"peaks": 0.4})))
    assert "bfloat16" in advise_memory(replace(recipe, precision="float32"))
    spent = advise_memory(replace(recipe, precision="bfloat16", checkpointing=True))
    assert "bfloat16" not in spent and "checkpointing" not in spent and "smaller" in spent


@pytest.mark.parametrize("is_adversarial", [True, False])
def test_a_diverged_run_is_told_of_the_discriminator_only_if_it_has_one(is_adversarial):
    watch = Watch("loss", is_adversarial)
    found = [watch.look({"loss": 1.0 if step < 300 else 1.0 + step / 10}) for step in range(600)]
    assert ("loss.adversarial" in next(filter(None, found))) == is_adversarial


def test_a_run_that_stops_before_its_first_save_does_not_name_a_state(tmp_path, scenes, monkeypatch):
    task = make_task(recipe := read_recipe(str(write_recipe(tmp_path, "vqgan"))), scenes)
    (turn,) = task.turns
    monkeypatch.setattr(task, "turns", [replace(turn, loss=lambda batch, step: spoil(*turn.loss(batch, step)))])
    with pytest.raises(TrainingError, match=r"Stopped at step 0: .* No state was saved before\.$"):
        train(task, recipe, tmp_path)


def spoil(loss, figures):
    return loss * float("nan"), {**figures, "l1": float("nan")}
