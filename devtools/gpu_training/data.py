"""What a stage trains on, made by all cores, and batches of images that are ready before a step asks for them."""

from __future__ import annotations

import hashlib
import multiprocessing
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from taming.data import Augmentation, Concatenated, Sample, ScenePainter
from taming.training.batches import augmentation, step_rng
from taming.training.datasets import Data, open_data, scene_painter
from taming.training.loop import Batch
from taming.training.recipe import DataSettings, Recipe
from taming.training.tasks.vqgan import VQGANTask

PHOTOGRAPH_SHARE = 0.25  # of the images that a tokenizer sees, about as many as in the preset
BATCHES_AHEAD = 4  # of each process
SPARE_CORES = 2  # for the process that trains


def open_stage_data(settings: DataSettings, cache: Path, num_workers: int) -> Data:
    """As `open_data`, but scenes with maps are painted once, and photographs come more often where they are few.

    Raises: TamingError if there is nothing to train on.
    """
    if settings.has_maps:
        painters = scene_painter(settings, settings.first_seed), scene_painter(settings, settings.held_out_seed)
        training = PaintedScenes(painters[0], settings.count, num_workers)
        return Data(training, PaintedScenes(painters[1], settings.held_out, num_workers), painters[0].box_names)
    if not settings.folder or not settings.with_scenes:
        return open_data(settings, cache, num_workers)
    photographs = open_data(replace(settings, with_scenes=False, swatches=0), cache, num_workers)
    scenes = open_data(replace(settings, folder=""), cache, num_workers)
    wanted = len(scenes.training) * PHOTOGRAPH_SHARE / (1 - PHOTOGRAPH_SHARE)
    times = max(1, round(wanted / len(photographs.training)))
    training = Concatenated([scenes.training, *[photographs.training] * times])
    return Data(training, Concatenated([photographs.held_out, scenes.held_out]))


class PaintedScenes:
    """Scenes with segments and boxes in memory: `SceneDataset` paints such a scene whenever it is asked for one."""

    class_names: tuple[str, ...] = ()

    def __init__(self, painter: ScenePainter, count: int, num_workers: int) -> None:
        self._painter, paint = painter, partial(paint_without_depth, painter)
        if num_workers == 1:
            self._samples = list(map(paint, range(count)))
            return
        # Forked, though torch has threads: painting is NumPy's, and sixteen processes that import torch take long.
        with ProcessPoolExecutor(num_workers, multiprocessing.get_context("fork")) as pool:
            self._samples = list(pool.map(paint, range(count), chunksize=16))

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Sample:
        return self._samples[index]

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(repr((self._painter, len(self))).encode()).hexdigest()


def paint_without_depth(painter: ScenePainter, index: int) -> Sample:
    return replace(painter.paint(index), depth=None)


class StepImages(TorchDataset):
    """The images of each step of a VQGAN's recipe, (B, H, W, 3) uint8: those that `VQGANTask` would draw."""

    def __init__(self, recipe: Recipe, data: Data) -> None:
        self.recipe, self.images = recipe, data.training

    def __getitem__(self, step: int) -> np.ndarray:
        phase, rng = self.recipe.phase_at(step), step_rng(self.recipe.seed, step)
        augment = augmentation(self.recipe.data, phase.crop_px)
        numbers = rng.integers(len(self.images), size=phase.batch_size)
        return np.stack([augment(self.images[int(number)], rng).image for number in numbers])


class PrefetchedVQGANTask(VQGANTask):
    """Trains a VQGAN on images that other processes crop and vary ahead of its steps."""

    batches: Iterator[np.ndarray] | None = None
    ready: np.ndarray | None = None

    def prefetch(self, first_step: int, num_workers: int) -> None:
        """Start the processes; their first images are those of `first_step`."""
        self.batches = iter(
            DataLoader(
                StepImages(self.recipe, self.data),
                batch_size=None,
                sampler=range(first_step, self.recipe.num_steps),
                num_workers=max(1, num_workers - SPARE_CORES),
                prefetch_factor=BATCHES_AHEAD,
                worker_init_fn=ignore_signals,
                collate_fn=as_it_is,  # a tensor would go through shared memory, of which there may be little
                multiprocessing_context="fork",  # the images are mapped into memory, and are not to be copied
            )
        )

    def batch(self, step: int, rng: np.random.Generator) -> Batch:
        self.ready = None if self.batches is None else next(self.batches)
        return super().batch(step, rng)

    def draw(self, count: int, augment: Augmentation, rng: np.random.Generator) -> Tensor:
        """The images that are ready; any others, such as those that the codebook starts from, are drawn here."""
        if self.ready is None:
            return super().draw(count, augment, rng)
        images, self.ready = torch.from_numpy(self.ready).to(self.device), None  # (B, H, W, 3)
        return (images.permute(0, 3, 1, 2).float() / 127.5 - 1).contiguous()  # (B, 3, H, W)

    def stop_prefetching(self) -> None:
        self.batches = None


class RehearsedVQGANTask(PrefetchedVQGANTask):
    """Leaves the codebook where it is: to start it at k-means centers takes longer than a rehearsal, and once."""

    def start_codebook(self, rng: np.random.Generator) -> None:
        pass


def ignore_signals(_worker: int) -> None:
    """A signal that ends all processes of a command would take the images from the step that is not yet done."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def as_it_is(batch: Any) -> Any:
    return batch
