"""One training in the minutes that there are: rehearse, choose the number of steps, train, save, show."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from taming.errors import TamingError, TrainingError
from taming.training.build import make_task
from taming.training.datasets import Data
from taming.training.distributed import Processes, find_processes
from taming.training.loop import LOG_FILE, MODEL_FILE, Figures, Run
from taming.training.recipe import Recipe
from taming.training.tasks.transformer import TransformerTask
from taming.training.tasks.vqgan import VQGANTask

from ..steps import SetupError
from .data import PrefetchedVQGANTask, RehearsedVQGANTask, open_stage_data
from .parts import Report, file_digest, split_file, write_report
from .sheet import draw_sheet
from .stages import STAGES, choose_num_steps, read_stage_recipe, rehearsal_recipe, with_length

log = logging.getLogger(__name__)

FINISH_SECONDS = 25  # to save, split and show
PLAN_FILE, SHEET_FILE = "plan.json", "sheet.png"


@dataclass(frozen=True)
class Options:
    """What `train` is told on the command line."""

    stage: str
    minutes: float
    out: Path
    work: Path  # folder of scenes, tokens and the run's state
    packed: Path  # what `pack` made
    overrides: Sequence[str] = ()
    more_minutes: float = 0.0  # of a second call that will go on
    init_from: Path | None = None
    batch_factor: int | None = None
    device: str = "auto"
    workers: int = os.cpu_count() or 1
    rehearsal_seconds: float = 2.5  # that the steps of a phase are timed for, after as many to warm up

    @property
    def cache(self) -> Path:
        return self.work / "cache"


@dataclass(frozen=True)
class Plan:
    """What a first call has chosen, and a second one goes by."""

    num_steps: int
    step_seconds: list[float]  # of a step of each phase


class TimeIsUp(Exception):
    """The run has to stop, and its weights are to be kept."""


class StepClock:
    """Times steps, once those of the first seconds are over, and ends the run."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.times: list[float] = []  # at the end of each step
        self.num_warm = 0  # steps that are not counted

    def __call__(self, step: int, figures: Figures) -> None:
        self.times.append(time.monotonic())
        if not self.num_warm:
            self.num_warm = len(self.times) if self.times[-1] - self.times[0] > self.seconds else 0
        elif self.times[-1] - self.times[self.num_warm - 1] > self.seconds:
            raise TimeIsUp

    @property
    def step_seconds(self) -> float:
        """The mean of the steps that are counted."""
        return (self.times[-1] - self.times[self.num_warm - 1]) / (len(self.times) - self.num_warm)


class Deadline:
    """Ends the run at a time, or after SIGTERM."""

    def __init__(self, at: float) -> None:
        self.at, self.is_asked = at, False
        signal.signal(signal.SIGTERM, self.ask)

    def ask(self, *_signal: object) -> None:
        self.is_asked = True

    def __call__(self, step: int, figures: Figures) -> None:
        if self.is_asked:
            raise TimeIsUp("it was told to end")
        if time.monotonic() > self.at:
            raise TimeIsUp("the minutes were over")


def train_stage(options: Options) -> Report:
    """Train, and leave in `options.out` what comes back.

    Raises: TamingError if recipe, data and models do not fit each other; SetupError if there is no time for a step.
    """
    end = time.monotonic() + options.minutes * 60 - FINISH_SECONDS
    stage, folders = STAGES[options.stage], (options.work, options.packed)
    recipe = read_stage_recipe(stage, options.overrides, folders, options.init_from, options.batch_factor)
    processes = find_processes(options.device)
    prepare_device(processes.device)
    run_folder = options.work / options.stage
    plan = read_plan(run_folder)
    step_seconds = rehearse(recipe, options, processes) if plan is None else plan.step_seconds
    data = open_stage_data(recipe.data, options.cache, options.workers)
    log.info("%d images to train on, %d held out.", len(data.training), len(data.held_out))
    if plan is None:
        if recipe.task == "transformer":
            make_task(recipe, data, options.cache, processes.device)  # reads the tokens, before the time is divided
        seconds = end - time.monotonic() + options.more_minutes * 60
        if seconds <= 0:
            raise SetupError(f"{options.minutes:g} minutes are over before the first step. Give more, or fewer scenes.")
        plan = Plan(choose_num_steps(recipe, step_seconds, seconds), step_seconds)
        write_plan(plan, run_folder)
        log.info("%d steps fit into %.0f s.", plan.num_steps, seconds)
    recipe = with_length(recipe, plan.num_steps)
    task = make_stage_task(recipe, data, options.cache, processes.device, PrefetchedVQGANTask)
    ending = go_on(task, recipe, run_folder, processes, options.workers, Deadline(end))
    shutil.copyfile(run_folder / MODEL_FILE, options.work / stage.weights_name)  # where other stages look for it
    report = bring_back(run_folder, options, plan, ending, processes.device)
    try:
        draw_sheet(run_folder / MODEL_FILE, recipe, data).save(options.out / SHEET_FILE)
    except TamingError as error:
        log.warning("No sheet was drawn: %s", error)  # what was trained is there
    return report


def bring_back(run_folder: Path, options: Options, plan: Plan, ending: str, device: torch.device) -> Report:
    """Put the weights of a run and the report on it into `options.out`."""
    options.out.mkdir(parents=True, exist_ok=True)
    model = run_folder / MODEL_FILE
    report = Report(
        stage=options.stage,
        ending=ending,
        device=torch.cuda.get_device_name() if device.type == "cuda" else device.type,
        num_steps=plan.num_steps,
        step_seconds=plan.step_seconds,
        sha256=file_digest(model),
        parts=split_file(model, options.out),
        log=[json.loads(row) for row in (run_folder / LOG_FILE).read_text(encoding="ascii").splitlines()],
    )
    write_report(report, options.out)
    return report


def read_plan(run_folder: Path) -> Plan | None:
    """What an earlier call has chosen, if there was one."""
    file = run_folder / PLAN_FILE
    return Plan(**json.loads(file.read_text(encoding="ascii"))) if file.exists() else None


def write_plan(plan: Plan, run_folder: Path) -> None:
    run_folder.mkdir(parents=True, exist_ok=True)
    (run_folder / PLAN_FILE).write_text(json.dumps(asdict(plan)), encoding="ascii")


def rehearse(recipe: Recipe, options: Options, processes: Processes) -> list[float]:
    """Seconds of a step of each phase, the discriminator's included; nothing that it trains is kept.

    Each is also evaluated and saved: what cannot run on this machine fails here, before scenes are painted.
    """
    data = open_stage_data(rehearsal_recipe(recipe, 0).data, options.cache, num_workers=1)  # more take long to start
    step_seconds = []
    for number, phase in enumerate(recipe.phases):
        rehearsal, clock = rehearsal_recipe(recipe, number), StepClock(options.rehearsal_seconds)
        with tempfile.TemporaryDirectory() as folder:
            task = make_stage_task(rehearsal, data, Path(folder) / "cache", processes.device, RehearsedVQGANTask)
            go_on(task, rehearsal, Path(folder), processes, options.workers, clock)
        step_seconds.append(clock.step_seconds)
        rate = phase.batch_size / clock.step_seconds
        log.info("Phase %d: %.1f ms a step, %.0f images/s.", number + 1, clock.step_seconds * 1000, rate)
    return step_seconds


def make_stage_task(
    recipe: Recipe, data: Data, cache: Path, device: torch.device, vqgan_task: type[PrefetchedVQGANTask]
) -> TransformerTask | VQGANTask:
    return vqgan_task(recipe, data) if recipe.task == "vqgan" else make_task(recipe, data, cache, device)


def go_on(
    task: TransformerTask | VQGANTask,
    recipe: Recipe,
    folder: Path,
    processes: Processes,
    num_workers: int,
    on_step: Callable[[int, Figures], None],
) -> str:
    """Train in `folder` until the recipe or `on_step` ends it, and export; returns what ended it."""
    run = Run(task, recipe, folder, processes)
    if isinstance(task, PrefetchedVQGANTask):
        task.prefetch(run.done, num_workers)
    try:
        run.go_on(on_step)
        ending = "finished"
    except (TimeIsUp, KeyboardInterrupt, TrainingError) as stop:
        ending = str(stop) or "interrupted"
        with nullcontext() if run.averages is None else run.averages.applied():
            figures = task.evaluate()
            task.export(folder / MODEL_FILE)
        with (folder / LOG_FILE).open("a", encoding="ascii") as file:
            file.write(json.dumps({"step": run.done, **figures}) + "\n")
    finally:
        if isinstance(task, PrefetchedVQGANTask):
            task.stop_prefetching()
    log.info("%s after %d of %d steps.", ending.capitalize(), run.done, recipe.num_steps)
    return ending


def prepare_device(device: torch.device) -> None:
    """Have the fastest convolutions chosen by trial, and libraries loaded.

    Their first use may warn, for example of a missing CUDA context, which the loop's check of a precision would take
    for a failure. Products stay in float32 where they are: TF32 would choose other codes.
    """
    torch.backends.cudnn.benchmark = True
    weight = torch.ones(8, 8, device=device, requires_grad=True)
    (weight @ weight).sum().backward()
