"""A training run in the graph: it continues what is in its folder, shows how it goes, and can be canceled."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ...taming.training.build import make_task
from ...taming.training.datasets import Data
from ...taming.training.distributed import OneProcess
from ...taming.training.loop import MODEL_FILE, Task, check_run_folder, train
from ...taming.training.recipe import Phase, Recipe
from ...taming.training.resume import is_finished
from .. import host
from ..errors import blaming
from .data import CancelablePictures
from .view import Painter, TrainingView

log = logging.getLogger(__name__)

RUN_TOOLTIP = (
    "Name of the run: a folder below ComfyUI's output folder, with its state, log and model. Run the same again to "
    "continue one that was canceled, or with more steps to go on longer; a finished one gives its model at once. "
    "Another recipe needs another name; to begin anew, delete the folder. The curve shows while it runs where live "
    "previews are on."
)
CANCELED = "Training stopped after %d of %d steps. All of it is kept in %s: run the same again to continue."
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
    with blaming("run"):
        if is_finished(recipe, out):
            note_model(out)
            return
        check_run_folder(out, "Give another name, or move it away.")
    with blaming("recipe", host.NotEnoughMemory), host.training(memory_required) as device:
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
                if view.done:
                    log.warning(CANCELED, view.done, recipe.num_steps, out)
                raise
            finally:
                view.close()
    note_model(out)


def warn_of_few(count: int) -> list[str]:
    """What is said, and logged, about a run on that many pictures."""
    if count >= ENOUGH_PICTURES:
        return []
    warning = FEW_PICTURES.format(count=count, enough=ENOUGH_PICTURES)
    log.warning("%s", warning)
    return [warning]


def micro_batches(recipe: Recipe) -> list[tuple[Phase, int]]:
    """The phases, each with the number of pictures that are trained on at once."""
    return [(phase, -(-phase.batch_size // recipe.accumulate)) for phase in recipe.phases]


# By the model file of a run: how often it has gone, and whether it was there when it was last looked for.
models_seen: dict[Path, tuple[int, bool]] = {}


def run_state(run: list[str] | None) -> list[tuple[str, int]]:
    """What changes when the folder of a run is deleted, so that it is trained anew, and not when it comes to be.

    The host asks before a run begins and again when it is over, and takes another answer for a change. It keeps
    results no longer than it lives itself, so nothing has to be written down.
    """
    if run is None or run[0] is None:
        return []
    return [(run[0], note_model(host.output_folder(run[0])))]


def note_model(out: Path) -> int:
    """Look for the model of the run in folder `out`; how often it has gone so far."""
    model = out / MODEL_FILE
    times_gone, was_there = models_seen.get(model, (0, False))
    is_there = model.is_file()
    times_gone += was_there and not is_there
    models_seen[model] = times_gone, is_there
    return times_gone
