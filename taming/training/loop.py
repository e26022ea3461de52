"""The training loop: turns, micro-batches, precision, running averages, evaluation, and a stop that saves."""

from __future__ import annotations

import json
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ..checkpoints.containers import check_path
from ..errors import CheckpointError, ConfigError, TrainingError
from ..file_names import check_free
from ..modules.gradient_checkpointing import set_gradient_checkpointing
from ..text import shorten_error
from .amp import ScaledSteps, autocast, check_precision
from .batches import step_rng
from .datasets import Data
from .distributed import Processes, average_figures, average_gradients, find_processes
from .ema import Averages
from .memory import is_out_of_memory
from .monitor import Watch, advise_memory, remark
from .optim import rate_at
from .recipe import Recipe
from .resume import BegunRun, check_model, check_recipe, model_config, report_length
from .run_folder import run_folder
from .sources import check_sources, read_sources
from .state import LOG_FILE, MODEL_FILE, STATE_FILE, read_state, save_state
from .tasks.custom import check_plugged

log = logging.getLogger(__name__)

Figures = dict[str, float]
Batch = Mapping[str, Tensor]  # tensors of one first dimension, the items


@dataclass(frozen=True)
class Turn:
    """One optimizer's part of a step: a generator's, then its discriminator's."""

    name: str
    module: nn.Module  # whose gradients are clipped
    optimizer: torch.optim.Optimizer
    loss: Callable[[Batch, int], tuple[Tensor, Figures]]  # mean over the items of a micro-batch, in step n
    is_due: Callable[[int], bool] = lambda step: True  # whether it is taken in step n
    after: Callable[[], None] = lambda: None  # when the optimizer has moved


class Task(Protocol):
    """What is trained. A step draws its randomness from its number alone, so a resumed run repeats it exactly."""

    data: Data
    plugged: dict[str, str]  # objects that the recipe does not tell of, see `describe_plugged`
    modules: dict[str, nn.Module]  # whose state is saved
    main_figure: str  # the loss that tells whether a run diverges

    @property
    def model(self) -> nn.Module:
        """Of which running averages are kept, if asked."""
        ...

    @property
    def turns(self) -> Sequence[Turn]:
        """In the order that a step takes them."""
        ...

    def batch(self, step: int, rng: np.random.Generator) -> Batch:
        """The items of a step, drawn from `rng`; called once, before the turns."""
        ...

    def evaluate(self) -> Figures: ...

    def export(self, path: Path) -> None:
        """Save what was trained, for use."""
        ...


def train(
    task: Task,
    recipe: Recipe,
    out: Path,
    on_step: Callable[[int, Figures], None] | None = None,
    processes: Processes | None = None,
) -> Figures:
    """Run `recipe` in folder `out`, continuing what is there; returns the last evaluation.

    Writes `state.pt` (everything needed to continue), `log.jsonl` and, when done, `model.safetensors`. Ctrl-C saves
    first, and so does what `on_step` raises. A run of the same recipe with more steps goes on longer. Of a run that
    cannot begin, no folder is left.

    Raises:
        CheckpointError: the folder holds a damaged state, or `out` is not UTF-8, so that no model could be saved there.
        ConfigError: the folder holds a run of another recipe, or cannot be written, or the device cannot compute in
            the recipe's precision.
        TrainingError: the run diverged, or memory does not even suffice for one item; the last good state is kept.
    """
    check_path(out)  # now, not when the model is saved
    run = Run(task, recipe, out, processes or find_processes("cpu"))
    with run_folder(out):
        return run.go_on(on_step)


def check_run_folder(out: Path, advice: str) -> None:
    """Raise TamingError, ending with `advice`, if folder `out` has a model that a run there would replace.

    That of a run which goes on is its own.
    """
    if not (out / STATE_FILE).exists():
        check_free([out / MODEL_FILE], f"No {STATE_FILE} beside it says that it is of a run. {advice}")


class Run:
    """A run in a folder: what it has beside the task."""

    def __init__(self, task: Task, recipe: Recipe, out: Path, processes: Processes) -> None:
        self.task, self.recipe, self.out, self.processes = task, recipe, out, processes
        check_precision(recipe.precision, processes.device)
        for module in task.modules.values():
            module.to(processes.device)
            set_gradient_checkpointing(module, recipe.checkpointing)
        self.steps = {turn.name: ScaledSteps(recipe.precision, processes.device) for turn in task.turns}
        self.averages = Averages(task.model, recipe.ema_decay) if recipe.ema_decay else None
        self.watch = Watch(task.main_figure, is_adversarial=bool(recipe.loss.get("adversarial")))
        self.num_micro = recipe.accumulate  # micro-batches of a step
        self.done = 0  # steps
        self.is_whole = True  # no step is half done
        self.has_older_model = False  # model.safetensors is not of this run, or of before it went on longer
        self.sources = self._restore()

    def go_on(self, on_step: Callable[[int, Figures], None] | None) -> Figures:
        recipe, first = self.recipe, self.done
        started = saved_at = time.monotonic()
        figures = self._evaluate() if first >= recipe.num_steps else Figures()
        try:
            with interrupts_between_steps() as check_interrupt:
                for step in range(first, recipe.num_steps):
                    self.is_whole = False
                    losses = self._step(step)
                    self.is_whole, self.done = True, step + 1
                    check_interrupt()
                    if on_step:
                        on_step(step, losses)
                    if self.done % recipe.evaluate_every == 0 or self.done == recipe.num_steps:
                        figures = self._evaluate()
                        rate = (self.done - first) / (time.monotonic() - started)
                        self._report({"step": self.done, "steps_per_s": round(rate, 3), **losses, **figures})
                    if time.monotonic() - saved_at > recipe.save_minutes * 60:
                        self._save()
                        saved_at = time.monotonic()
        except BaseException as stop:
            if self.is_whole:  # else some weights have moved and others not: the state on disk is the better one
                self._save()
            if isinstance(stop, KeyboardInterrupt):
                log.warning("Stopped at step %d of %d; run it again to continue.", self.done, recipe.num_steps)
            raise
        self._save()
        if self.processes.rank == 0:
            with self._averaged():
                self.task.export(self.out / MODEL_FILE)
        if self.has_older_model:
            self.has_older_model = False
            self._save()
        self.processes.wait()
        return figures

    def _step(self, step: int) -> Figures:
        rng = step_rng(self.recipe.seed, step)
        batch = self._own_share(self.task.batch(step, rng))
        dropout_seed = int(rng.integers(2**62)) + self.processes.rank
        losses = Figures()
        rate = rate_at(self.recipe.optimizer, step, self.recipe.num_steps)
        for turn in self.task.turns:
            if not turn.is_due(step):
                continue
            for group in turn.optimizer.param_groups:
                group["lr"] = rate
            losses |= self._take(turn, batch, step, dropout_seed)
        losses = average_figures(self.processes, losses)
        wrong = self.watch.look(losses)
        if wrong is not None:
            state = self.out / STATE_FILE
            kept = f"The state of an earlier step is in {state}." if state.exists() else "No state was saved before."
            raise TrainingError(f"Stopped at step {step}: {wrong} {kept}")
        if self.averages is not None:
            self.averages.update(step)
        return losses

    def _own_share(self, batch: Batch) -> Batch:
        """What this process takes of a batch, which is the same in all of them."""
        rank, count = self.processes.rank, self.processes.count
        size = len(next(iter(batch.values())))
        if size % count:
            raise ConfigError(f"phases: batch_size {size} cannot be shared evenly by {count} processes.")
        share = size // count
        device = self.processes.device
        return {name: items[rank * share : (rank + 1) * share].to(device) for name, items in batch.items()}

    def _take(self, turn: Turn, batch: Batch, step: int, dropout_seed: int) -> Figures:
        """One turn; when memory runs out, again with micro-batches of half the size."""
        while True:
            turn.optimizer.zero_grad(set_to_none=True)
            try:
                torch.manual_seed(dropout_seed)  # dropout has no generator argument
                losses = self._accumulate(turn, batch, step)
                break
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                size = len(next(iter(batch.values())))
                if self.num_micro >= size:
                    raise TrainingError(
                        f"Memory does not suffice for a single item. {advise_memory(self.recipe)}"
                    ) from error
            turn.optimizer.zero_grad(set_to_none=True)
            self.num_micro *= 2
            log.warning("Out of memory: going on with %d micro-batches a step (accumulate).", self.num_micro)
        average_gradients(self.processes, turn.module)  # scaled yet, so that an infinite one is seen by all
        if self.steps[turn.name].take(turn.optimizer, turn.module, self.recipe.optimizer.clip_norm):
            turn.after()
        return losses

    def _accumulate(self, turn: Turn, batch: Batch, step: int) -> Figures:
        """Gradients of the mean loss over all items, a micro-batch at a time."""
        size = len(next(iter(batch.values())))
        losses = Figures()
        for start, end in micro_batches(size, self.num_micro):
            share = (end - start) / size
            with autocast(self.recipe.precision, self.processes.device):
                loss, figures = turn.loss({name: items[start:end] for name, items in batch.items()}, step)
            self.steps[turn.name].backward(loss * share)
            for name, value in figures.items():
                losses[name] = losses.get(name, 0.0) + share * value
        return losses

    def _evaluate(self) -> Figures:
        with self._averaged():
            figures = self.task.evaluate()
        warning = remark(figures, self.recipe)
        if warning:
            log.warning("%s", warning)
        return figures

    def _averaged(self) -> Any:
        return nullcontext() if self.averages is None else self.averages.applied()

    def _report(self, row: Figures) -> None:
        if self.processes.rank != 0:
            return
        skipped = sum(steps.skipped for steps in self.steps.values())
        if skipped:
            row["skipped"] = skipped
        with (self.out / LOG_FILE).open("a") as file:
            file.write(json.dumps(row) + "\n")
        log.info("  ".join(f"{key} {value:.4g}" for key, value in row.items()))

    def _save(self) -> None:
        if self.processes.rank != 0:
            return
        state = {
            "step": self.done,
            "num_micro": self.num_micro,
            "watch": self.watch.state_dict(),
            "plugged": self.task.plugged,
            "sources": self.sources,
            "config": model_config(self.task.model),
            "has_older_model": self.has_older_model,
            "modules": {name: module.state_dict() for name, module in self.task.modules.items()},
            "optimizers": {turn.name: turn.optimizer.state_dict() for turn in self.task.turns},
            "steps": {name: steps.state_dict() for name, steps in self.steps.items()},
            "averages": None if self.averages is None else self.averages.state_dict(),
        }
        save_state(state, self.recipe, self.out / STATE_FILE)

    def _restore(self) -> dict[str, str]:
        """Take up what is in the folder; returns hashes of what the run learns from."""
        path = self.out / STATE_FILE
        state = read_state(path, self.recipe.task)
        has_model = (self.out / MODEL_FILE).is_file()
        if state is None:
            self.has_older_model = has_model  # of a run whose state was deleted
            return read_sources(self.recipe, self.task.data)
        begun = BegunRun.of(state, path)
        moved = check_recipe(begun, self.recipe, self.out)
        check_plugged(state.get("plugged", {}), self.task.plugged)  # before torch compares what they hold
        check_model(state.get("config"), self.task.model, self.recipe, self.out)
        sources = check_sources(state.get("sources", {}), moved, self.recipe, self.task.data, self.out)
        try:
            self._put(state)
        except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"The state {path} does not fit this run: {shorten_error(error)}. Give the run a new folder, or "
                "rename the state, and the run begins anew."
            ) from error
        has_other_length = begun.recipe.num_steps != self.recipe.num_steps
        self.has_older_model = has_model and (begun.has_older_model or has_other_length)
        log.info("Continuing from step %d.", self.done)
        report_length(begun, self.recipe)
        return sources

    def _put(self, state: dict[str, Any]) -> None:
        self.done, self.num_micro = state["step"], state["num_micro"]
        self.watch.load_state_dict(state["watch"])
        for name, module in self.task.modules.items():
            module.load_state_dict(state["modules"][name])
        for turn in self.task.turns:
            turn.optimizer.load_state_dict(state["optimizers"][turn.name])
            if "steps" in state:  # runs from before float16 have none
                self.steps[turn.name].load_state_dict(state["steps"][turn.name])
        if self.averages is not None:
            self.averages.load_state_dict(state["averages"])


def micro_batches(size: int, count: int) -> list[tuple[int, int]]:
    """(first, last + 1) of `count` parts of `size` items, as even as can be; fewer where there are fewer items."""
    count = min(count, size)
    edges = [size * part // count for part in range(count + 1)]
    return list(pairwise(edges))


@contextmanager
def interrupts_between_steps() -> Iterator[Callable[[], None]]:
    """Hold Ctrl-C back until the function given is called: a step cut in half could not be continued."""
    asked = threading.Event()

    def check() -> None:
        if asked.is_set():
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # only there can signals be handled
        yield check
        return
    previous = signal.signal(signal.SIGINT, lambda number, frame: asked.set())
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, previous)
