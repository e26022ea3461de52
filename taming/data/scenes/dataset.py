"""Many scenes in one memory-mapped file, the same whatever the number of workers, and as training data."""

from __future__ import annotations

import hashlib
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cached_property
from pathlib import Path

import numpy as np

from ...errors import TamingError
from ..sample import Sample, SampleBox
from .class_palettes import SCENE_CLASSES
from .class_scenes import Scene, render_scene

CHUNK = 64

# The labels of boxes, by position; models depend on the order.
OBJECT_NAMES = ("balloon", "boat", "cactus", "house", "lighthouse", "rock", "snowman", "tent")


def render_dataset(
    folder: Path,
    num_scenes: int,
    size_px: int = 128,
    first_seed: int = 0,
    num_workers: int = 1,
    num_objects: int = 0,
    check: Callable[[], None] = lambda: None,
) -> tuple[Path, Path]:
    """Write `images.npy`, (N, size, size, 3) uint8, and `labels.npy`, (N,) uint8, into `folder`; returns both paths.

    Scene i has label i modulo the number of classes, seed `first_seed` + i and up to `num_objects` objects. The
    images appear under their name only when all are done; `check` is called again and again on the way, and what it
    raises ends it. With several workers a script must call this under `if __name__ == "__main__"`.

    Raises:
        ValueError: for fewer than one scene or worker, or what `render_scene` refuses.
    """
    if num_scenes < 1 or num_workers < 1:
        raise ValueError(
            f"Asked for {num_scenes} scenes from {num_workers} workers, but both must be at least 1. Raise them."
        )
    folder.mkdir(parents=True, exist_ok=True)
    images_path, labels_path = folder / "images.npy", folder / "labels.npy"
    partial_path = folder / "images.npy.partial"
    shape = (num_scenes, size_px, size_px, 3)
    render_scene(0, first_seed, size_px, num_objects)  # refuses a bad size or seed before the file is laid out
    np.lib.format.open_memmap(partial_path, mode="w+", dtype=np.uint8, shape=shape).flush()
    starts = range(0, num_scenes, CHUNK)
    if num_workers == 1:
        for start in starts:
            check()
            render_chunk(partial_path, start, first_seed, num_objects)
    else:
        # Spawned rather than forked: the caller may have torch threads running.
        with ProcessPoolExecutor(num_workers, multiprocessing.get_context("spawn")) as pool:
            jobs = [pool.submit(render_chunk, partial_path, start, first_seed, num_objects) for start in starts]
            try:
                for job in jobs:
                    check()
                    job.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    np.save(labels_path, (np.arange(num_scenes) % len(SCENE_CLASSES)).astype(np.uint8))
    partial_path.replace(images_path)
    return images_path, labels_path


def render_chunk(path: Path, start: int, first_seed: int, num_objects: int = 0) -> None:
    """Fill the images `start` to `start` + CHUNK of the file; safe to run beside other chunks."""
    images = np.lib.format.open_memmap(path, mode="r+")
    for index in range(start, min(start + CHUNK, len(images))):
        label, size_px = index % len(SCENE_CLASSES), images.shape[1]
        images[index] = render_scene(label, first_seed + index, size_px, num_objects).image
    images.flush()


class SceneDataset:
    """Scenes that `render_dataset` wrote into `folder`, from the same `first_seed` and with as many `num_objects`.

    With `has_maps` each sample also has segments, depth and boxes, which are painted again from the seed when it is
    asked for, in the time of a whole scene. Box labels are positions in OBJECT_NAMES.

    Raises:
        TamingError: no scenes there, or scenes that are not of this seed and number of objects.
    """

    def __init__(self, folder: Path, first_seed: int = 0, num_objects: int = 0, has_maps: bool = False) -> None:
        self._path = Path(folder) / "images.npy"
        self._first_seed, self._num_objects, self._has_maps = first_seed, num_objects, has_maps
        try:
            self._images = np.load(self._path, mmap_mode="r")
            self._labels = np.load(self._path.with_name("labels.npy"))
        except (OSError, EOFError, ValueError) as error:
            raise TamingError(
                f"{folder} has no whole set of scenes: {error}. Render it with render_dataset."
            ) from error
        last = len(self) - 1
        if not _look_alike(self._images[last], self._render(last).image):
            raise TamingError(
                f"The scenes in {folder} are not those from seed {first_seed} with {num_objects} objects. "
                "Give the numbers that they were rendered with, or render them again."
            )

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Sample:
        index = range(len(self))[index]
        image, label = np.asarray(self._images[index]), int(self._labels[index])
        if not self._has_maps:
            return Sample(image, label)
        scene = self._render(index)
        boxes = tuple(
            SampleBox(OBJECT_NAMES.index(box.name), box.x0, box.y0, box.x1 - box.x0, box.y1 - box.y0)
            for box in scene.boxes
        )
        return Sample(image, label, segmentation=scene.segmentation, depth=1 - scene.depth, boxes=boxes)

    @property
    def class_names(self) -> tuple[str, ...]:
        return SCENE_CLASSES

    @property
    def fingerprint(self) -> str:
        """A hash of the seed and the file's size and modification time."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        status = self._path.stat()
        told = (self._first_seed, self._num_objects, self._images.shape, status.st_size, status.st_mtime_ns)
        return hashlib.sha256(repr(told).encode()).hexdigest()

    def _render(self, index: int) -> Scene:
        seed, size_px = self._first_seed + index, self._images.shape[1]
        return render_scene(int(self._labels[index]), seed, size_px, self._num_objects)


def _look_alike(stored: np.ndarray, rendered: np.ndarray) -> bool:
    # Another machine's arithmetic may round a few pixels differently.
    return float((np.abs(stored.astype(int) - rendered).max(2) > 8).mean()) < 0.002
