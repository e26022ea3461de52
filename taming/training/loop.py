"""The training loop: steps, learning rate, evaluation, and full-state checkpoints that a kill cannot damage."""

import json
import logging
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

import torch
from torch import nn

from ..errors import ConfigError
from .recipe import Optimizer, Recipe

log = logging.getLogger(__name__)

Figures = dict[str, float]
MAY_CHANGE = {"save_minutes", "evaluate_every", "export_dtype"}  # settings of a recipe that leave its weights alone


class Task(Protocol):
    """What is trained. A step draws its randomness from the step number alone, so a resumed run repeats it exactly."""

    modules: dict[str, nn.Module]
    optimizers: dict[str, torch.optim.Optimizer]

    def step(self, step: int) -> Figures: ...

    def evaluate(self) -> Figures: ...

    def export(self, path: Path) -> None: ...


def train(task: Task, recipe: Recipe, out: Path, on_step: Callable[[int, Figures], None] | None = None) -> Figures:
    """Run `recipe` in folder `out`, continuing what is there; returns the last evaluation.

    Writes `state.pt` (everything needed to continue), `log.jsonl` and, when done, `model.safetensors`.
    Ctrl-C saves first.
    """
    out.mkdir(parents=True, exist_ok=True)
    first = done = load_state(task, recipe, out / "state.pt")
    started = saved_at = time.monotonic()
    figures = task.evaluate() if first >= recipe.num_steps else Figures()
    try:
        with interrupts_between_steps() as check_interrupt:
            for step in range(first, recipe.num_steps):
                for optimizer in task.optimizers.values():
                    for group in optimizer.param_groups:
                        group["lr"] = learning_rate(recipe.optimizer, step, recipe.num_steps)
                losses = task.step(step)
                done = step + 1
                check_interrupt()
                if on_step:
                    on_step(step, losses)
                if done % recipe.evaluate_every == 0 or done == recipe.num_steps:
                    figures = task.evaluate()
                    rate = (done - first) / (time.monotonic() - started)
                    report(out, {"step": done, "steps_per_s": round(rate, 3), **losses, **figures})
                if time.monotonic() - saved_at > recipe.save_minutes * 60:
                    save_state(task, recipe, out / "state.pt", done)
                    saved_at = time.monotonic()
    except KeyboardInterrupt:
        save_state(task, recipe, out / "state.pt", done)
        log.warning("Stopped at step %d of %d; run the same command again to continue.", done, recipe.num_steps)
        raise
    save_state(task, recipe, out / "state.pt", recipe.num_steps)
    task.export(out / "model.safetensors")
    return figures


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


def learning_rate(optimizer: Optimizer, step: int, num_steps: int) -> float:
    """Linear warm-up to `lr`, then a cosine to `final_lr`."""
    if step < optimizer.warmup_steps:
        return optimizer.lr * (step + 1) / optimizer.warmup_steps
    progress = (step - optimizer.warmup_steps) / max(1, num_steps - optimizer.warmup_steps)
    return optimizer.final_lr + (optimizer.lr - optimizer.final_lr) * 0.5 * (1 + math.cos(math.pi * progress))


def save_state(task: Task, recipe: Recipe, path: Path, step: int) -> None:
    """Write the whole training state beside `path`, then put it in place at once."""
    state = {
        "step": step,
        "recipe": asdict(recipe),
        "modules": {name: module.state_dict() for name, module in task.modules.items()},
        "optimizers": {name: optimizer.state_dict() for name, optimizer in task.optimizers.items()},
    }
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    os.replace(partial, path)


def load_state(task: Task, recipe: Recipe, path: Path) -> int:
    """Restore a training state; returns the step to go on from, 0 where there is none.

    Raises:
        ConfigError: the state belongs to a run of another recipe.
    """
    if not path.exists():
        return 0
    state = torch.load(path, map_location="cpu", weights_only=True)
    settings = asdict(recipe)
    for name, started_with in state["recipe"].items():
        if name not in MAY_CHANGE and settings[name] != started_with:
            raise ConfigError(
                f"{path.parent} holds a run of another recipe: its {name} is {started_with}, now {settings[name]}. "
                "Give the run a new folder, or the old value back."
            )
    for name, module in task.modules.items():
        module.load_state_dict(state["modules"][name])
    for name, optimizer in task.optimizers.items():
        optimizer.load_state_dict(state["optimizers"][name])
    log.info("Continuing from step %d.", state["step"])
    return state["step"]


def report(out: Path, row: dict[str, float]) -> None:
    with (out / "log.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")
    log.info("  ".join(f"{key} {value:.4g}" for key, value in row.items()))
