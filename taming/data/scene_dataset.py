"""Render many scenes into one memory-mapped file, the same whatever the number of workers."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from .scene_palettes import SCENE_CLASSES
from .scenes import render_scene

CHUNK = 64


def render_dataset(
    folder: Path, num_scenes: int, size_px: int = 128, first_seed: int = 0, num_workers: int = 1
) -> tuple[Path, Path]:
    """Write `images.npy`, (N, size, size, 3) uint8, and `labels.npy`, (N,) uint8, into `folder`; returns both paths.

    Scene i has label i modulo the number of classes and seed `first_seed` + i. The images appear under their name
    only when all are done. With several workers a script must call this under `if __name__ == "__main__"`.

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
    render_scene(0, first_seed, size_px)  # refuses a bad size or seed before the file is laid out
    np.lib.format.open_memmap(partial_path, mode="w+", dtype=np.uint8, shape=shape).flush()
    starts = range(0, num_scenes, CHUNK)
    if num_workers == 1:
        for start in starts:
            render_chunk(partial_path, start, first_seed)
    else:
        # Spawned rather than forked: the caller may have torch threads running.
        with ProcessPoolExecutor(num_workers, multiprocessing.get_context("spawn")) as pool:
            jobs = [pool.submit(render_chunk, partial_path, start, first_seed) for start in starts]
            for job in jobs:
                job.result()
    np.save(labels_path, (np.arange(num_scenes) % len(SCENE_CLASSES)).astype(np.uint8))
    partial_path.replace(images_path)
    return images_path, labels_path


def render_chunk(path: Path, start: int, first_seed: int) -> None:
    """Fill the images `start` to `start` + CHUNK of the file; safe to run beside other chunks."""
    images = np.lib.format.open_memmap(path, mode="r+")
    for index in range(start, min(start + CHUNK, len(images))):
        images[index] = render_scene(index % len(SCENE_CLASSES), first_seed + index, images.shape[1]).image
    images.flush()
