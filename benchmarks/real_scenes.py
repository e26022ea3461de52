"""Procedural scenes as arrays: rendered once, under runs/, and then read."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from taming.data import render_dataset


@dataclass(frozen=True)
class Scenes:
    """Pictures and what they show."""

    images: np.ndarray  # (N, S, S, 3) uint8, memory-mapped
    labels: np.ndarray  # (N,) int64


def load_scenes(folder: Path, first_seed: int, count: int, size_px: int, num_workers: int) -> Scenes:
    """Scenes `first_seed` onwards from `folder`, rendered there first where they are missing."""
    images, labels = folder / "images.npy", folder / "labels.npy"
    if not images.exists():
        render_dataset(folder, count, size_px, first_seed, num_workers)
    return Scenes(np.load(images, mmap_mode="r"), np.load(labels).astype(np.int64))
