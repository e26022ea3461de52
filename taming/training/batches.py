"""Batches of scenes: which pictures, crops and flips a step sees follows from the seed and the step alone."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..data import render_dataset
from .recipe import Phase


@dataclass(frozen=True)
class Scenes:
    """Rendered scenes."""

    images: np.ndarray  # (N, S, S, 3) uint8, memory-mapped
    labels: np.ndarray  # (N,) int64


def load_scenes(folder: Path, first_seed: int, count: int, size_px: int, num_workers: int) -> Scenes:
    """Scenes `first_seed` onwards from `folder`, rendered there first where they are missing."""
    images, labels = folder / "images.npy", folder / "labels.npy"
    if not images.exists():
        render_dataset(folder, count, size_px, first_seed, num_workers)
    return Scenes(np.load(images, mmap_mode="r"), np.load(labels).astype(np.int64))


def step_rng(seed: int, step: int) -> np.random.Generator:
    return np.random.default_rng((seed, step))


def image_batch(scenes: Scenes, phase: Phase, rng: np.random.Generator) -> Tensor:
    """Random pictures, cropped and flipped; (B, 3, H, W) in [-1, 1]."""
    side = phase.crop_px or scenes.images.shape[1]
    crops = []
    for index in rng.integers(len(scenes.images), size=phase.batch_size):
        top, left = rng.integers(scenes.images.shape[1] - side + 1, size=2)
        crop = scenes.images[index, top : top + side, left : left + side]
        crops.append(crop[:, ::-1] if rng.random() < 0.5 else crop)
    return to_pixels(np.stack(crops))


def to_pixels(images: np.ndarray) -> Tensor:
    """(B, H, W, 3) uint8 to (B, 3, H, W) float32 in [-1, 1]."""
    return torch.tensor(images).permute(0, 3, 1, 2).float() / 127.5 - 1
