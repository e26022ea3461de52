"""Batches of pictures: which ones a step sees, and how they are varied, follows from the seed and the step alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..data import (
    Augmentation,
    CenterCrop,
    ColorJitter,
    Compose,
    Dataset,
    Flip,
    RandomCrop,
    RandomScale,
    ResizeShorter,
    Sample,
)
from .recipe import DataSettings


def step_rng(seed: int, step: int) -> np.random.Generator:
    return np.random.default_rng((seed, step))


def augmentation(settings: DataSettings, crop_px: int, own: Augmentation | None = None) -> Augmentation:
    """What `settings` ask for, ending in squares of `crop_px` pixels; 0 takes the whole shorter side.

    `own` comes first, so it may change the size of a sample.
    """
    steps: list[Augmentation] = [] if own is None else [own]
    steps.append(ResizeShorter(settings.size_px))
    if settings.largest_scale > 1:
        steps.append(RandomScale(1.0, settings.largest_scale))
    steps.append(RandomCrop(crop_px or settings.size_px))
    if settings.flip:
        steps.append(Flip(0.5))
    if settings.color or settings.hue:
        steps.append(ColorJitter(settings.color, settings.color, settings.color, settings.hue or settings.color / 4))
    return Compose(tuple(steps))


def image_batch(dataset: Dataset, count: int, augment: Augmentation, rng: np.random.Generator) -> Tensor:
    """Random pictures, varied; (B, 3, H, W) in [-1, 1]."""
    return to_pixels([augment(dataset[int(index)], rng).image for index in rng.integers(len(dataset), size=count)])


def middle_batch(dataset: Dataset, indices: Sequence[int], size_px: int) -> Tensor:
    """The middle squares of the pictures at `indices`, not varied; (B, 3, size, size) in [-1, 1]."""
    middle: Augmentation = Compose((ResizeShorter(size_px), CenterCrop(size_px)))
    rng = np.random.default_rng(0)  # it draws nothing
    samples: list[Sample] = [middle(dataset[index], rng) for index in indices]
    return to_pixels([sample.image for sample in samples])


def to_pixels(images: Sequence[np.ndarray] | np.ndarray) -> Tensor:
    """(B, H, W, 3) uint8 to (B, 3, H, W) float32 in [-1, 1]."""
    return torch.tensor(np.stack(list(images))).permute(0, 3, 1, 2).float() / 127.5 - 1
