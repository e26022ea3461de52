"""A state that is cut, empty, zeros or something else: it is told in words, and the advice in them works."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ordinary_user import an_ordinary_user, public_folder
from recipes import SIZE_PX, write_recipe
from short_runs import make_task, read_state
from taming.cli import main
from taming.errors import CheckpointError, ConfigError
from taming.training.loop import check_run_folder, train
from taming.training.recipe import Recipe, read_recipe
from taming.training.resume import check_run
from taming.training.state import read_state as read_checked_state


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, scenes) -> Path:
    """A finished run of a tiny VQGAN, with its recipe."""
    folder = tmp_path_factory.mktemp("finished")
    recipe = read_recipe(str(write_recipe(folder, "vqgan")))
    train(make_task(recipe, scenes), recipe, folder / "run")
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> tuple[Recipe, Path]:
    """The recipe and the folder of a finished run, to be damaged."""
    shutil.copytree(finished / "run", tmp_path / "run")
    return read_recipe(str(finished / "recipe.yaml")), tmp_path / "run"


class Code:
    """A pickle that asks for a function of its own."""

    def __reduce__(self) -> tuple[Callable, tuple]:
        return os.getcwd, ()


def overwrite(start: float, length: int, value: bytes) -> Callable[[Path], object]:
    """Put `length` times `value` at share `start` of the file."""

    def damage(path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(int(start * path.stat().st_size))
            file.write(value * length)

    return damage


def as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda path: path.write_bytes(b""), r"is empty \(0 bytes\)"),
    "zeros": (lambda path: path.write_bytes(bytes(path.stat().st_size)), r"holds zeros \(\d+ bytes\)"),
    "one zero": (lambda path: path.write_bytes(b"\0"), "holds zeros"),
    "cut in the middle": (lambda path: os.truncate(path, path.stat().st_size // 2), "is cut off or damaged"),
    "cut at its end": (lambda path: os.truncate(path, path.stat().st_size - 1), "is cut off or damaged"),
    "cut at its start": (lambda path: os.truncate(path, 3), "is something else"),
    "cut after its head": (lambda path: os.truncate(path, 100), "is cut off or damaged"),
    "zeros from the middle on": (lambda path: overwrite(0.5, path.stat().st_size // 2 + 1, b"\0")(path), "is cut off"),
    "zeros within": (overwrite(0.5, 3000, b"\0"), "another checksum|is cut off or damaged"),
    "a page": (lambda path: path.write_bytes(b"<!DOCTYPE html><html>"), r"something else .* \(first bytes: 3c 21"),
    "a picture": (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100)), "something else"),
    "a model": (lambda path: shutil.copy(path.with_name("model.safetensors"), path), "something else"),
    "a module": (lambda path: torch.save(torch.nn.Linear(1, 1), path), "holds something else"),
    "code": (lambda path: torch.save({"step": Code()}, path), "holds something else"),
    "an old format": (
        lambda path: torch.save({"step": 1}, path, _use_new_zipfile_serialization=False),
        "something else",
    ),
    "a tensor": (lambda path: torch.save(torch.zeros(2), path), "holds a Tensor"),
    "weights": (lambda path: torch.save({"a.weight": torch.zeros(2)}, path), r"it lacks step.*found \['a.weight'\]"),
    "nothing": (lambda path: torch.save({}, path), "it lacks step, num_micro"),
    "half of it": (
        lambda path: torch.save({**torch.load(path, weights_only=True), "modules": None}, path),
        "it lacks modules;",
    ),
    "a folder": (as_folder, "is a folder"),
}


@pytest.mark.parametrize(("damage", "words"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_state_is_told_in_words_and_left_alone(damage, words, run, scenes):
    """They were raw tracebacks; one advised to set weights_only to False, which runs what is in the file."""
    recipe, out = run
    damage(out / "state.pt")
    before = None if (out / "state.pt").is_dir() else (out / "state.pt").read_bytes()
    with pytest.raises(CheckpointError, match=words) as raised:
        train(make_task(recipe, scenes), recipe, out)
    message = str(raised.value)
    assert message.startswith(f"The state {out / 'state.pt'} ") and "Rename or delete it" in message
    assert "\n" not in message and "weights_only" not in message and "orch." not in message
    if before is not None:
        assert (out / "state.pt").read_bytes() == before


@pytest.mark.parametrize("name", ["empty", "zeros", "cut in the middle", "a page", "weights"])
def test_the_command_line_says_so_before_it_opens_the_data(name, finished, run, capsys):
    _, out = run
    DAMAGE[name][0](out / "state.pt")
    nowhere = f"data.folder={out / 'no such folder'}"
    assert main(["train", str(finished / "recipe.yaml"), nowhere, "--out", str(out), "--device", "cpu"]) == 1
    assert capsys.readouterr().err.startswith(f"error: The state {out / 'state.pt'} ")


def test_what_the_message_advises_works(run, scenes):
    recipe, out = run
    (out / "state.pt").write_bytes(b"")
    with pytest.raises(CheckpointError) as raised:
        train(make_task(recipe, scenes), recipe, out)
    (override,) = [word for word in str(raised.value).split() if word.startswith("init_from=")]
    again = read_recipe(str(write_recipe(out.parent, "vqgan")), [override])
    train(make_task(again, scenes), again, out.parent / "further")
    assert read_state(out.parent / "further")["step"] == 5
    assert "Rename or delete it and the model.safetensors beside it, and the run begins anew" in str(raised.value)
    for name in ("state.pt", "model.safetensors"):
        (out / name).rename(out / f"{name}.bad")
    check_run_folder(out, "")  # as the command line and the nodes do, which replace no model
    steps = []
    train(make_task(recipe, scenes), recipe, out, lambda step, figures: steps.append(step))
    assert steps == list(range(5)), "the run begins anew"


def test_a_decoder_is_begun_with_by_another_setting(run_folder, scenes):
    """It would not look at init_from."""
    recipe, out = read_recipe(str(write_recipe(run_folder, "vqgan_decoder"))), run_folder / "run"
    train(make_task(recipe, scenes), recipe, out)
    (out / "state.pt").write_bytes(b"")
    with pytest.raises(CheckpointError, match=f" first_stage={(out / 'model.safetensors').as_posix()} "):
        check_run(recipe, out)


def test_a_damaged_model_is_not_advised_to_begin_with(run):
    recipe, out = run
    for name in ("state.pt", "model.safetensors"):
        (out / name).write_bytes(b"")
    with pytest.raises(CheckpointError, match="or give the run a new folder.$"):
        check_run(recipe, out)


def test_a_state_of_another_version_is_told_as_such(run, scenes):
    recipe, out = run
    state = read_state(out)
    state["recipe"]["a_setting_of_the_future"] = 1
    torch.save(state, out / "state.pt")
    with pytest.raises(ConfigError, match=r"is of another version.*a_setting_of_the_future.*Continue it with that"):
        train(make_task(recipe, scenes), recipe, out)


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state["modules"]["vqgan"].popitem(),
        lambda state: state["modules"].clear(),
        lambda state: state["optimizers"].clear(),
        lambda state: state["optimizers"]["vqgan"]["param_groups"][0]["params"].pop(),
        lambda state: state["watch"].clear(),
        lambda state: state["watch"].update(recent=3),
        lambda state: state["steps"].update(vqgan=None),
    ],
    ids=["a weight", "models", "optimizers", "a parameter", "the watch", "a wrong watch", "a wrong step"],
)
def test_a_state_that_lacks_something_within_is_told_in_words(change, run, scenes):
    recipe, out = run
    state = read_state(out)
    change(state)
    torch.save(state, out / "state.pt")
    with pytest.raises(CheckpointError, match="does not fit this run.*Give the run a new folder") as raised:
        train(make_task(recipe, scenes), recipe, out)
    assert "\n" not in str(raised.value)


def test_looking_at_a_run_reads_no_weights(run):
    """A state may have gigabytes, and a node looks at it whenever it is run."""
    recipe, out = run
    overwrite(0.5, 3000, b"\0")(out / "state.pt")  # among the weights
    begun = check_run(recipe, out)
    assert begun is not None and begun.step == 5
    with pytest.raises(CheckpointError, match="checksum"):
        read_checked_state(out / "state.pt", "vqgan")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other permissions")
def test_a_state_that_may_not_be_read_is_told_in_words(capsys):
    with public_folder() as folder:
        recipe = write_recipe(folder, "vqgan", data={"count": 4, "held_out": 2, "size_px": SIZE_PX})
        out = folder / "run"
        out.mkdir()
        (out / "state.pt").write_bytes(b"PK\3\4")
        os.chmod(recipe, 0o644)
        os.chmod(out / "state.pt", 0o000)
        with an_ordinary_user():
            assert main(["train", str(recipe), "--out", str(out), "--device", "cpu"]) == 1
        assert "state.pt cannot be read: Permission denied" in capsys.readouterr().err
