"""Procedural scenes as arrays: rendered once, under runs/, and then read."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import numpy as np

from benchmarks import RUNS
from taming.conditioning import Box
from taming.data import OBJECT_NAMES, SCENE_CLASSES, ClassPainter, render_dataset, render_scene

SIZE_PX = 128


@dataclass(frozen=True)
class SceneSet:
    """Which scenes: their seeds count up from the first, their classes take turns."""

    first_seed: int
    count: int
    num_objects: int = 0  # on a scene, at most

    @property
    def name(self) -> str:
        objects = f"-{self.num_objects}-objects" if self.num_objects else ""
        return f"scenes-{SIZE_PX}px-{self.first_seed}-{self.count}{objects}"


@dataclass(frozen=True)
class Scenes:
    """Pictures and what they show."""

    images: np.ndarray  # (N, S, S, 3) uint8, memory-mapped
    labels: np.ndarray  # (N,) int64


@dataclass(frozen=True)
class MappedScenes:
    """Pictures with all that stands in them, and where."""

    images: np.ndarray  # (N, S, S, 3) uint8
    maps: np.ndarray  # (N, S, S) uint8 into SEGMENT_NAMES
    boxes: tuple[tuple[Box, ...], ...]  # of each picture's objects; labels are positions in OBJECT_NAMES


def load_scenes(chosen: SceneSet, wanted: int, num_workers: int) -> Scenes:
    """The first `wanted` of the scenes; only so many are rendered where the whole set is not there."""
    folder = RUNS / chosen.name
    if not (folder / "images.npy").exists() or wanted > chosen.count:
        folder = RUNS / SceneSet(chosen.first_seed, wanted, chosen.num_objects).name
        if not (folder / "images.npy").exists():
            painter = ClassPainter(SIZE_PX, chosen.first_seed, chosen.num_objects)
            render_dataset(folder, painter, wanted, num_workers)
    images = np.load(folder / "images.npy", mmap_mode="r")
    return Scenes(images[:wanted], np.arange(wanted) % len(SCENE_CLASSES))


def load_mapped_scenes(chosen: SceneSet, num_workers: int) -> MappedScenes:
    """The scenes with their maps and boxes, which take no time beside that of the pictures."""
    file = RUNS / f"{chosen.name}-maps.npz"
    if not file.exists():
        render_mapped_scenes(file, chosen, num_workers)
    arrays = np.load(file)
    boxes: list[list[Box]] = [[] for _ in range(chosen.count)]
    for picture, label, *place in arrays["boxes"].tolist():
        boxes[int(picture)].append(Box(int(label), *place))
    return MappedScenes(arrays["images"], arrays["maps"], tuple(map(tuple, boxes)))


def render_mapped_scenes(file: Path, chosen: SceneSet, num_workers: int) -> None:
    images = np.empty((chosen.count, SIZE_PX, SIZE_PX, 3), np.uint8)
    maps = np.empty(images.shape[:3], np.uint8)
    boxes: list[tuple[float, ...]] = []  # number of the picture, label, x, y, width, height
    labels = [index % len(SCENE_CLASSES) for index in range(chosen.count)]
    seeds = range(chosen.first_seed, chosen.first_seed + chosen.count)
    # Spawned rather than forked: the caller may have torch threads running.
    with ProcessPoolExecutor(num_workers, multiprocessing.get_context("spawn")) as pool:
        scenes = pool.map(render_scene, labels, seeds, repeat(SIZE_PX), repeat(chosen.num_objects), chunksize=8)
        for index, scene in enumerate(scenes):
            images[index], maps[index] = scene.image, scene.segmentation
            for box in scene.boxes:
                label = OBJECT_NAMES.index(box.name)
                boxes.append((index, label, box.x0, box.y0, box.x1 - box.x0, box.y1 - box.y0))
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial.npz")
    np.savez(partial, images=images, maps=maps, boxes=np.array(boxes).reshape(-1, 6))
    partial.replace(file)
