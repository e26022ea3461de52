"""Runs that go on longer, and recipes that a run does not go on by: each value that differs is named."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pytest
import torch

from recipes import RECIPES, SIZE_PX, VQGAN, write_recipe
from short_runs import differences, make_task, read_state
from taming.cli import main
from taming.errors import ConfigError, TrainingError
from taming.training.length import with_num_steps
from taming.training.loop import train
from taming.training.optim import rate_at
from taming.training.recipe import Recipe, read_recipe
from taming.training.resume import check_run, in_words

CONSTANT = {"lr": 2e-3, "schedule": "constant"}
PHASE = {"batch_size": 2, "crop_px": 16}


def vqgan(folder: Path, **changes: object) -> Recipe:
    return read_recipe(str(write_recipe(folder, "vqgan", **changes)))


def of_length(folder: Path, steps: int, **changes: object) -> Recipe:
    return vqgan(folder, phases=[{"steps": steps, **PHASE}], **changes)


def run(recipe: Recipe, scenes, out: Path, stop_after: int | None = None) -> dict[int, float]:
    """Train; the learning rate of each step that was taken. It is stopped when `stop_after` steps are done."""
    task, rates = make_task(recipe, scenes), {}

    def note(step: int, figures: dict[str, float]) -> None:
        rates[step] = task.turns[0].optimizer.param_groups[0]["lr"]
        if step + 1 == stop_after:
            raise KeyboardInterrupt

    if stop_after is None:
        train(task, recipe, out, note)
    else:
        with pytest.raises(KeyboardInterrupt):
            train(task, recipe, out, note)
    return rates


@pytest.mark.parametrize("stop_after", [None, 2], ids=["finished", "stopped"])
@pytest.mark.parametrize("name", RECIPES)
def test_a_run_that_goes_on_longer_at_a_constant_rate_is_the_longer_run(name, stop_after, run_folder, scenes):
    def recipe(steps: int) -> Recipe:
        optimizer, phases = {**CONSTANT, "warmup_steps": 2}, [{"steps": steps, "batch_size": 2}]
        folder = run_folder / "recipes"
        folder.mkdir(exist_ok=True)
        (folder / "tokenizer.safetensors").write_bytes((run_folder / "tokenizer.safetensors").read_bytes())
        return read_recipe(str(write_recipe(folder, name, optimizer=optimizer, phases=phases)))

    run(recipe(5), scenes, run_folder / "whole")
    run(recipe(3), scenes, run_folder / "parts", stop_after)
    assert list(run(recipe(5), scenes, run_folder / "parts")) == ([3, 4] if stop_after is None else [2, 3, 4])
    assert differences(read_state(run_folder / "whole"), read_state(run_folder / "parts")) == []
    models = [(run_folder / which / "model.safetensors").read_bytes() for which in ("whole", "parts")]
    assert models[0] == models[1]


def test_the_learning_rate_goes_on_as_that_of_a_run_of_the_new_length_and_the_log_says_so(tmp_path, scenes, caplog):
    short, long = of_length(tmp_path, 4), of_length(tmp_path, 8)
    run(short, scenes, tmp_path / "run")
    with caplog.at_level(logging.INFO):
        rates = run(long, scenes, tmp_path / "run")
    assert rates == {step: rate_at(long.optimizer, step, 8) for step in range(4, 8)}
    assert "It was a run of 4 steps and is one of 8 now" in caplog.text
    last, following = rate_at(short.optimizer, 3, 4), rate_at(long.optimizer, 4, 8)
    assert f"The learning rate was {last:.3g} last and goes on with {following:.3g}." in caplog.text
    assert "phases[0].steps: 4 -> 8" in caplog.text


def test_what_begins_in_a_step_may_move_with_the_length(tmp_path, scenes):
    """As the node's `steps` does: it was refused with two dictionaries of 19 fields."""
    recipe = vqgan(tmp_path)
    run(recipe, scenes, tmp_path / "run")
    longer = with_num_steps(recipe, 10)
    assert longer.loss["quantize_from"] == 4 and longer.optimizer.warmup_steps == 4
    assert list(run(longer, scenes, tmp_path / "run")) == [5, 6, 7, 8, 9]
    assert read_state(tmp_path / "run")["step"] == 10


@pytest.mark.parametrize("preset", ["pictures_vqgan", "pictures_vqgan_small", "pictures_class_small"])
@pytest.mark.parametrize(("first", "second"), [(1, 2), (4, 8), (4, 6000), (2999, 3001), (50_000, 70_000)])
def test_every_preset_goes_on_longer_whatever_rounding_does_to_its_phases(preset, first, second, tmp_path, scenes):
    base = read_recipe(preset, ["data.folder=x", *(["first_stage=y"] if "class" in preset else [])])
    tiny = vqgan(tmp_path)
    run(tiny, scenes, tmp_path / "run", stop_after=1)
    state = read_state(tmp_path / "run")
    shape = replace(with_num_steps(base, first), task="vqgan", first_stage="")
    torch.save({**state, "recipe": asdict(shape)}, tmp_path / "run" / "state.pt")
    longer = replace(with_num_steps(base, second), task="vqgan", first_stage="")
    begun = check_run(longer, tmp_path / "run")
    assert begun is not None and begun.recipe.num_steps == first


def test_a_beginning_that_lies_ahead_again_is_warned_of(tmp_path, scenes, caplog):
    run(of_length(tmp_path, 4), scenes, tmp_path / "run")
    run(of_length(tmp_path, 9, loss={**RECIPES["vqgan"]["loss"], "quantize_from": 6}), scenes, tmp_path / "run")
    (warning,) = [record for record in caplog.records if "lies ahead again" in record.message]
    assert warning.levelname == "WARNING" and warning.message.startswith("loss.quantize_from lies ahead again, at 6")


def test_a_phase_may_be_added_to_a_finished_run(tmp_path, scenes):
    run(vqgan(tmp_path), scenes, tmp_path / "run")
    phases = [*RECIPES["vqgan"]["phases"], {"steps": 2, "batch_size": 4}]
    assert list(run(vqgan(tmp_path, phases=phases), scenes, tmp_path / "run")) == [5, 6]


def test_a_stopped_run_may_end_sooner_but_not_before_what_it_has_done(tmp_path, scenes):
    run(of_length(tmp_path, 8), scenes, tmp_path / "run", stop_after=4)
    with pytest.raises(ConfigError, match="has taken 4 steps already, and the recipe is for 3. Give it 4 "):
        run(of_length(tmp_path, 3), scenes, tmp_path / "run")
    assert run(of_length(tmp_path, 4), scenes, tmp_path / "run") == {}
    assert (tmp_path / "run" / "model.safetensors").is_file()


def test_a_run_knows_that_its_model_is_that_of_a_shorter_one(tmp_path, scenes):
    """Else the node would give the old model at once, when the new one could not be written."""
    short, long = of_length(tmp_path, 3), of_length(tmp_path, 6)
    run(short, scenes, tmp_path / "run")
    assert not read_state(tmp_path / "run")["has_older_model"]
    run(long, scenes, tmp_path / "run", stop_after=4)
    assert read_state(tmp_path / "run")["has_older_model"]
    run(long, scenes, tmp_path / "run")
    assert not read_state(tmp_path / "run")["has_older_model"]


OTHER: dict[str, tuple[dict, list[str]]] = {
    "lr": ({"optimizer": {"lr": 5e-4, "warmup_steps": 2}}, ["optimizer.lr: 0.002 -> 0.0005"]),
    "seed": ({"seed": 6}, ["seed: 5 -> 6"]),
    "a loss": ({"loss": {"l1": 0.5, "l2": 4.0, "quantize_from": 2}}, ["loss.l2: 5.0 -> 4.0"]),
    "a loss less": ({"loss": {"l1": 0.5, "quantize_from": 2}}, ["loss.l2: 5.0 -> not given"]),
    "the model": ({"model": {**VQGAN, "n_embed": 32}}, ["model.n_embed: 16 -> 32"]),
    "a list": ({"model": {**VQGAN, "ch_mult": [1, 2]}}, ["model.ch_mult: [1, 1, 2] -> [1, 2]"]),
    "a batch": (
        {"phases": [{"steps": 3, "batch_size": 4, "crop_px": 16}, {"steps": 2, "batch_size": 2}]},
        ["phases[0].batch_size: 3 -> 4"],
    ),
    "shares": (
        {"phases": [{"steps": 2, "batch_size": 3, "crop_px": 16}, {"steps": 3, "batch_size": 2}]},
        ["phases[0].steps: 3 -> 2", "phases[1].steps: 2 -> 3"],
    ),
    "a warm-up alone": ({"optimizer": {"lr": 2e-3, "warmup_steps": 3}}, ["optimizer.warmup_steps: 2 -> 3"]),
    "a length and a rate": (
        {"phases": [{"steps": 9, "batch_size": 3, "crop_px": 16}], "optimizer": {"lr": 1e-3, "warmup_steps": 9}},
        ["optimizer.lr: 0.002 -> 0.001"],
    ),
    "a length and a batch": (
        {"phases": [{"steps": 9, "batch_size": 4}]},
        ["phases[0].steps: 3 -> 9", "phases[0].batch_size: 3 -> 4", "phases[0].crop_px: 16 -> 0", "phases[1]"],
    ),
    "two": ({"seed": 6, "ema_decay": 0.5}, ["seed: 5 -> 6", "ema_decay: 0.0 -> 0.5"]),
    "pictures for scenes": ({"data": {"size_px": 32, "folder": "x"}}, ["data.folder: '' -> 'x'"]),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, scenes) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    run(vqgan(folder), scenes, folder / "run")
    return folder / "run"


@pytest.mark.parametrize(("changes", "words"), OTHER.values(), ids=OTHER)
def test_exactly_the_values_that_differ_are_named(changes, words, finished, tmp_path):
    with pytest.raises(ConfigError) as raised:
        check_run(vqgan(tmp_path, **changes), finished)
    message = str(raised.value)
    assert message.startswith(f"{finished} holds a run of another recipe: {words[0]}")
    named = message.partition("recipe: ")[2].partition(". Give the old")[0].split("; ")
    assert len(named) >= len(words) and all(word in message for word in words)
    if "phases[1]" not in words[-1]:
        assert named == words


@pytest.mark.parametrize("length", [30, 200, 3000])
def test_long_values_are_told_by_what_differs(length):
    """Cut at their ends, two long paths looked the same."""
    before, now = (f"/{'a' * length}/{name}/model.safetensors" for name in ("old", "new"))
    words = in_words((before, now))
    assert "old/model" in words and "new/model" in words and len(words) < 450
    assert in_words((list(range(length)), [*range(length), 10_000])).endswith(", 10000]")


def test_another_preset_is_named_by_a_few_of_its_values(finished):
    with pytest.raises(ConfigError, match=r"; and \d+ more\. Give the old values back") as raised:
        check_run(read_recipe("scenes_vqgan"), finished)
    assert len(str(raised.value)) < 1000


def test_the_way_on_that_is_advised_works(finished, tmp_path, scenes):
    with pytest.raises(ConfigError) as raised:
        check_run(vqgan(tmp_path, seed=6), finished)
    (override,) = [word for word in str(raised.value).split() if word.startswith("init_from=")]
    other = read_recipe(str(write_recipe(tmp_path, "vqgan", seed=6)), [override])
    run(other, scenes, tmp_path / "further")
    assert read_state(tmp_path / "further")["step"] == 5


@pytest.mark.parametrize("changes", [{"model": {**VQGAN, "n_embed": 32}}, {"task": "map_vqgan"}], ids=str)
def test_no_start_from_a_model_of_another_architecture_is_advised(changes, finished, tmp_path):
    with pytest.raises(ConfigError, match="give the run a new folder.$"):
        check_run(replace(vqgan(tmp_path), **changes), finished)


@dataclass
class TwoProcesses:
    """As the first of two sees itself; the other is not there."""

    rank = 0
    count = 2
    device = torch.device("cpu")

    def average(self, values: torch.Tensor) -> torch.Tensor:
        return values

    def wait(self) -> None:
        pass


@pytest.mark.parametrize("depth", ["run", "a/b/run"])
def test_a_refused_recipe_leaves_no_folder(depth, tmp_path, scenes):
    recipe = of_length(tmp_path, 2)
    odd = replace(recipe, phases=(replace(recipe.phases[0], batch_size=3),))
    with pytest.raises(ConfigError, match="cannot be shared evenly"):
        train(make_task(odd, scenes), odd, tmp_path / depth, processes=TwoProcesses())
    assert {path.name for path in tmp_path.iterdir()} == {"recipe.yaml"}


def test_a_folder_that_was_there_stays(tmp_path, scenes):
    recipe = of_length(tmp_path, 2, optimizer={"lr": float(2**30)})
    (tmp_path / "run").mkdir()
    with pytest.raises(TrainingError):
        train(make_task(recipe, scenes), recipe, tmp_path / "run")
    assert (tmp_path / "run").is_dir()


def test_a_folder_in_which_nothing_can_be_written_is_refused_before_the_first_step(tmp_path, scenes):
    recipe, steps = of_length(tmp_path, 2), []
    (tmp_path / "file").write_text("something else")
    for out in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(ConfigError, match=r"The run's folder .*file.* cannot be written: .*Give the run another"):
            train(make_task(recipe, scenes), recipe, out, lambda step, figures: steps.append(step))
    assert steps == []


@pytest.mark.parametrize("wrong", ["loss.codes=4", "model.nope=1", "data.folder=nowhere", "first_stage=x"])
def test_a_recipe_that_the_command_line_refuses_leaves_no_folder(wrong, tmp_path, capsys):
    recipe = write_recipe(tmp_path, "vqgan", data={"count": 4, "held_out": 2, "size_px": SIZE_PX})
    out = tmp_path / "runs" / "run"
    assert main(["train", str(recipe), wrong, "--out", str(out), "--device", "cpu", "--workers", "1"]) == 1
    assert capsys.readouterr().err.startswith("error: ") and not out.exists()


def test_the_command_line_looks_at_the_folder_before_it_makes_data(tmp_path, capsys):
    """It rendered thousands of scenes first, and then said [Errno 20]."""
    (tmp_path / "file").write_text("something else")
    recipe = write_recipe(tmp_path, "vqgan", data={"count": 4, "held_out": 2, "size_px": SIZE_PX})
    out = tmp_path / "file" / "run"
    assert main(["train", str(recipe), "--out", str(out), "--device", "cpu", "--workers", "1"]) == 1
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'file'} is a file, not a folder.")
