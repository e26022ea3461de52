"""Nearest training scenes of a picture: how near it comes to being a copy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from benchmarks.judge import to_unit
from benchmarks.photographs import to_picture
from benchmarks.report import print_table
from taming.viz import labelled_sheet

THUMBNAIL_PX = 32
BATCH = 64
CHUNK = 512  # training scenes read or compared at once


class Describer(Protocol):
    """A network that sees what is shown, such as a judge."""

    def features(self, images: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) in [0, 1] to (B, features)."""
        ...


@dataclass(frozen=True)
class Bank:
    """All training scenes in the two spaces that are compared."""

    thumbnails: Tensor  # (N, 3072) pixels at 32 px, in gray levels
    features: Tensor  # (N, features) of unit length


@dataclass(frozen=True)
class Neighbors:
    """The nearest training scene of each of B pictures, in both spaces."""

    by_pixels: Tensor  # (B,) rows of the bank
    pixel_distance: Tensor  # (B,) root mean square difference at 32 px, in gray levels of 0 to 255
    by_features: Tensor  # (B,)
    feature_distance: Tensor  # (B,) 0 equal to 2 opposite


def build_bank(judge: Describer, images: np.ndarray) -> Bank:
    """Reduce `images`, (N, H, W, 3) uint8, a chunk at a time."""
    parts = [to_unit(images[start : start + CHUNK]) for start in range(0, len(images), CHUNK)]
    return Bank(torch.cat([shrink(part) for part in parts]), torch.cat([describe(judge, part) for part in parts]))


def find_neighbors(judge: Describer, bank: Bank, images: Tensor) -> Neighbors:
    """Compare pictures, (B, 3, H, W) in [0, 1], with every training scene."""
    values = bank.thumbnails.shape[1]
    pixel_distance, by_pixels = nearest(shrink(images), bank.thumbnails)
    feature_distance, by_features = nearest(describe(judge, images), bank.features)
    return Neighbors(by_pixels, pixel_distance / values**0.5, by_features, feature_distance)


@torch.no_grad()
def describe(judge: Describer, images: Tensor) -> Tensor:
    """Features of each picture, scaled to length 1, (B, 3, H, W) in [0, 1] -> (B, features)."""
    return F.normalize(torch.cat([judge.features(batch) for batch in images.split(BATCH)]), dim=1)


def shrink(images: Tensor) -> Tensor:
    """Pictures (B, 3, H, W) in [0, 1] to gray levels of their thumbnails, (B, 3072)."""
    return F.interpolate(images, size=(THUMBNAIL_PX, THUMBNAIL_PX), mode="area").flatten(1) * 255


def nearest(queries: Tensor, bank: Tensor) -> tuple[Tensor, Tensor]:
    """Euclidean distance to the nearest row of `bank` and its number, for each row of `queries`."""
    distances = torch.cat([torch.cdist(queries, chunk, compute_mode=EXACT) for chunk in bank.split(CHUNK)], dim=1)
    return distances.min(1)


def measure_copies(judge: Describer, bank: Bank, groups: Mapping[str, Tensor]) -> dict[str, dict[str, float]]:
    """How near pictures, (B, 3, H, W) in [0, 1], come to a training scene: samples, and what cannot be copies."""
    figures = {}
    for name, images in groups.items():
        found = find_neighbors(judge, bank, images)
        figures[name] = {
            "pixels_median": found.pixel_distance.median().item(),
            "pixels_least": found.pixel_distance.min().item(),
            "features_median": found.feature_distance.median().item(),
            "features_least": found.feature_distance.min().item(),
        }
    names = list(next(iter(figures.values())))
    rows = [[group, *(f"{row[name]:.3g}" for name in names)] for group, row in figures.items()]
    print_table("Distance to the nearest training scene (pixels: RMS gray levels at 32 px)", ["", *names], rows)
    return figures


def draw_nearest(
    found: Neighbors,
    training: np.ndarray | Mapping[int, np.ndarray],
    images: Tensor,
    captions: Sequence[str],
    rows: Sequence[int],
    path: Path,
) -> Path:
    """Write a sheet to `path`: the samples in `rows`, each beside the training scenes that it comes nearest to.

    `found` are the neighbors of `images`, (B, 3, H, W) in [0, 1]; `training` are the pictures of the bank by their
    numbers, (H, W, 3) uint8, those at least that are shown.
    """
    pictures, labels = [], []
    for row in rows:
        neighbors = [training[int(chosen[row])] for chosen in (found.by_pixels, found.by_features)]
        pictures += [to_picture(images[row]), *map(Image.fromarray, neighbors)]
        labels += [
            captions[row],
            f"pixels {found.pixel_distance[row]:.1f}",
            f"features {found.feature_distance[row]:.2f}",
        ]
    labelled_sheet(pictures, labels, columns=6).save(path)
    return path


EXACT = "donot_use_mm_for_euclid_dist"  # the expanded formula loses small distances, which matter most here
