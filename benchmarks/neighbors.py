"""Nearest training scenes of a picture: how near it comes to being a copy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.judge import SceneClassifier, describe, to_unit

THUMBNAIL_PX = 32
CHUNK = 512  # training scenes read or compared at once


@dataclass(frozen=True)
class Bank:
    """All training scenes in the two spaces that are compared."""

    thumbnails: Tensor  # (N, 3072) pixels at 32 px, in gray levels
    features: Tensor  # (N, 512) of unit length


@dataclass(frozen=True)
class Neighbors:
    """The nearest training scene of each of B pictures, in both spaces."""

    by_pixels: Tensor  # (B,) rows of the bank
    pixel_distance: Tensor  # (B,) root mean square difference at 32 px, in gray levels of 0 to 255
    by_features: Tensor  # (B,)
    feature_distance: Tensor  # (B,) 0 equal to 2 opposite


def build_bank(judge: SceneClassifier, images: np.ndarray) -> Bank:
    """Reduce `images`, (N, H, W, 3) uint8, a chunk at a time."""
    parts = [to_unit(images[start : start + CHUNK]) for start in range(0, len(images), CHUNK)]
    return Bank(torch.cat([shrink(part) for part in parts]), torch.cat([describe(judge, part) for part in parts]))


def find_neighbors(judge: SceneClassifier, bank: Bank, images: Tensor) -> Neighbors:
    """Compare pictures, (B, 3, H, W) in [0, 1], with every training scene."""
    values = bank.thumbnails.shape[1]
    pixel_distance, by_pixels = nearest(shrink(images), bank.thumbnails)
    feature_distance, by_features = nearest(describe(judge, images), bank.features)
    return Neighbors(by_pixels, pixel_distance / values**0.5, by_features, feature_distance)


def shrink(images: Tensor) -> Tensor:
    """Pictures (B, 3, H, W) in [0, 1] to gray levels of their thumbnails, (B, 3072)."""
    return F.interpolate(images, size=(THUMBNAIL_PX, THUMBNAIL_PX), mode="area").flatten(1) * 255


def nearest(queries: Tensor, bank: Tensor) -> tuple[Tensor, Tensor]:
    """Euclidean distance to the nearest row of `bank` and its number, for each row of `queries`."""
    distances = torch.cat([torch.cdist(queries, chunk, compute_mode=EXACT) for chunk in bank.split(CHUNK)], dim=1)
    return distances.min(1)


EXACT = "donot_use_mm_for_euclid_dist"  # the expanded formula loses small distances, which matter most here
