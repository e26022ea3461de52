"""A training run in the graph: it continues what is in its folder, shows how it goes, and can be canceled."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ..taming.training.build import make_task
from ..taming.training.datasets import Data
from ..taming.training.loop import MODEL_FILE, STATE_FILE, Task, check_run_folder, train
from ..taming.training.processes import OneProcess
from ..taming.training.recipe import Phase, Recipe
from ..taming.training.state import load_state
from . import host
from .errors import blaming
from .train_data import CancelablePictures
from .train_view import Painter, TrainingView

log = logging.getLogger(__name__)

RUN_TOOLTIP = (
    "Name of the run: a folder below ComfyUI's output folder, with its state, log and model. Run the same again to "
    "continue one that was canceled; a finished one gives its model at once. Another recipe needs another name; to "
    "begin anew, delete the folder. The curve shows while it runs where live previews are on."
)
CANCELED = "Training stopped after %d of %d steps. All of it is kept in %s: run the same again to continue."
BEGUN_FILE = "begun"
ENOUGH_PICTURES = 200
FEW_PICTURES = (
    "{count} pictures are few: the model learns them by heart. From about {enough} on it learns what they have in "
    "common."
)


def train_in(
    out: Path,
    recipe: Recipe,
    memory_required: int,
    open_data: Callable[[Path], Data],
    make_painter: Callable[[Task, Data], Painter | None],
) -> None:
    """Run `recipe` in folder `out` until it is done, or until it is canceled.

    Args:
        memory_required: bytes of the device that the run takes, about.
        open_data: opens the data, with a folder to keep decoded pictures in.
        make_painter: how to show what the model can do so far; None shows the curve alone.

    Raises: TamingError, naming the input to blame.
    """
    if is_finished(out, recipe):
        return
    with blaming("run"):
        check_run_folder(out, "Give another name, or move it away.")
    with host.training(memory_required) as device:
        cache = out.parent / "cache"
        opened = open_data(cache)
        pictures, held_out = CancelablePictures(opened.training), CancelablePictures(opened.held_out)
        data = replace(opened, training=pictures, held_out=held_out)
        with blaming("recipe"):
            task = make_task(recipe, data, cache, device)
            pictures.is_cancelable = False  # half a step could not be saved
            warnings = warn_of_few(len(pictures))
            view = TrainingView(recipe, task.main_figure, out, make_painter(task, data), warnings)
            try:
                train(task, recipe, out, on_step=view, processes=OneProcess(device))
            except host.Canceled:
                log.warning(CANCELED, view.done, recipe.num_steps, out)
                raise
            finally:
                view.close()


def warn_of_few(count: int) -> list[str]:
    """What is said, and logged, about a run on that many pictures."""
    if count >= ENOUGH_PICTURES:
        return []
    warning = FEW_PICTURES.format(count=count, enough=ENOUGH_PICTURES)
    log.warning("%s", warning)
    return [warning]


def is_finished(out: Path, recipe: Recipe) -> bool:
    """Whether the run in folder `out` has come to its end.

    Raises: ConfigError, naming the input to blame, if it is a run of another recipe.
    """
    with blaming("run"):
        state = load_state(recipe, out / STATE_FILE)
    return state is not None and state["step"] >= recipe.num_steps and (out / MODEL_FILE).is_file()


def micro_batches(recipe: Recipe) -> list[tuple[Phase, int]]:
    """The phases, each with the number of pictures that are trained on at once."""
    return [(phase, -(-phase.batch_size // recipe.accumulate)) for phase in recipe.phases]


def run_state(run: list[str] | None) -> list[tuple[str, int, int]]:
    """A fingerprint of a run's folder, so that one that was deleted is trained anew, and one that is there is not.

    The host asks before a run begins and again when it is over, and takes another answer for a change: so what tells
    folders apart has to be there from the first question on.
    """
    if run is None or run[0] is None:
        return []
    begun = host.output_folder(run[0]) / BEGUN_FILE
    if not begun.exists():
        begun.parent.mkdir(parents=True, exist_ok=True)
        begun.touch()
    return [host.file_state(begun)]
