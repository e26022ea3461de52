"""Many scenes in one memory-mapped file, the same whatever the number of workers, and as training data."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import cached_property
from pathlib import Path

import numpy as np

from ...errors import TamingError
from ..sample import Sample
from .painters import ScenePainter

CHUNK = 64
IMAGES, NOTES = "images.npy", "notes.json"


def render_dataset(
    folder: Path,
    painter: ScenePainter,
    num_scenes: int,
    num_workers: int = 1,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Write the first `num_scenes` scenes of `painter` into `folder`, with their labels and captions.

    The images appear under their name only when all are done; `check` is called again and again on the way, and what
    it raises ends it. With several workers a script must call this under `if __name__ == "__main__"`.

    Raises:
        ValueError: for fewer than one scene or worker, or what the painter refuses.
    """
    if num_scenes < 1 or num_workers < 1:
        raise ValueError(
            f"Asked for {num_scenes} scenes from {num_workers} workers, but both must be at least 1. Raise them."
        )
    folder.mkdir(parents=True, exist_ok=True)
    partial_path = folder / f"{IMAGES}.partial"
    shape = painter.paint(0).image.shape  # refuses a bad size or seed before the file is made
    np.lib.format.open_memmap(partial_path, mode="w+", dtype=np.uint8, shape=(num_scenes, *shape)).flush()
    starts = range(0, num_scenes, CHUNK)
    notes: list[tuple[int | None, str | None]] = []
    for chunk in _render_chunks(partial_path, painter, starts, num_workers, check):
        notes += chunk
    (folder / NOTES).write_text(json.dumps(notes), encoding="utf-8")
    partial_path.replace(folder / IMAGES)


def _render_chunks(
    path: Path, painter: ScenePainter, starts: range, num_workers: int, check: Callable[[], None]
) -> Iterable[list[tuple[int | None, str | None]]]:
    if num_workers == 1:
        for start in starts:
            check()
            yield render_chunk(path, painter, start)
        return
    # Spawned rather than forked: the caller may have torch threads running.
    with ProcessPoolExecutor(num_workers, multiprocessing.get_context("spawn")) as pool:
        jobs = [pool.submit(render_chunk, path, painter, start) for start in starts]
        try:
            for job in jobs:
                check()
                yield job.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def render_chunk(path: Path, painter: ScenePainter, start: int) -> list[tuple[int | None, str | None]]:
    """Fill the images `start` to `start` + CHUNK of the file, beside other chunks; returns labels and captions."""
    images = np.lib.format.open_memmap(path, mode="r+")
    notes = []
    for index in range(start, min(start + CHUNK, len(images))):
        sample = painter.paint(index)
        images[index] = sample.image
        notes.append((sample.label, sample.caption))
    images.flush()
    return notes


class SceneDataset:
    """Scenes that `render_dataset` wrote into `folder` with the same `painter`.

    With `has_maps` each sample also has segments, depth and boxes; it is then painted again when it is asked for.

    Raises:
        TamingError: no scenes there, or scenes of another painter.
    """

    def __init__(self, folder: Path, painter: ScenePainter, has_maps: bool = False) -> None:
        self._path, self._painter, self._has_maps = Path(folder) / IMAGES, painter, has_maps
        try:
            self._images = np.load(self._path, mmap_mode="r")
            self._notes = json.loads(self._path.with_name(NOTES).read_text(encoding="utf-8"))
        except (OSError, EOFError, ValueError) as error:
            raise TamingError(
                f"{folder} has no whole set of scenes: {error}. Render it with render_dataset."
            ) from error
        last = len(self) - 1
        if not _look_alike(self._images[last], painter.paint(last).image):
            raise TamingError(
                f"The scenes in {folder} are not those of {painter}. Give the numbers that they were rendered with, "
                "or render them again."
            )

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Sample:
        index = range(len(self))[index]
        if self._has_maps:
            return self._painter.paint(index)
        label, caption = self._notes[index]
        return Sample(np.asarray(self._images[index]), label, caption)

    @property
    def class_names(self) -> tuple[str, ...]:
        return self._painter.class_names

    @property
    def fingerprint(self) -> str:
        """A hash of the painter and the file's size and modification time."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        status = self._path.stat()
        parts = (self._painter, self._images.shape, status.st_size, status.st_mtime_ns)
        return hashlib.sha256(repr(parts).encode()).hexdigest()


def _look_alike(stored: np.ndarray, rendered: np.ndarray) -> bool:
    # Another machine's arithmetic may round a few pixels differently.
    return stored.shape == rendered.shape and float((np.abs(stored.astype(int) - rendered).max(2) > 8).mean()) < 0.002
