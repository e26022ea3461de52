"""The simplest tokenizer at the same rate: a k-means codebook of pixel patches."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

CHUNK = 16_384  # patches whose distances are in memory at once


def fit_patch_codes(
    images: np.ndarray, num_codes: int, patch_px: int, num_patches: int, iterations: int, seed: int = 0
) -> Tensor:
    """Lloyd's algorithm on random aligned patches of `images`, (N, H, W, 3) uint8; codes (num_codes, patch values)."""
    rng = np.random.default_rng(seed)
    side = images.shape[1] // patch_px
    picks = np.sort(rng.integers(len(images), size=num_patches))
    rows, columns = rng.integers(side, size=(2, num_patches)) * patch_px
    patches = np.empty((num_patches, patch_px, patch_px, 3), np.uint8)
    for i in range(num_patches):
        patches[i] = images[picks[i], rows[i] : rows[i] + patch_px, columns[i] : columns[i] + patch_px]
    vectors = torch.from_numpy(patches).flatten(1).float() / 255
    generator = torch.Generator().manual_seed(seed)
    codes = vectors[torch.randperm(num_patches, generator=generator)[:num_codes]].clone()
    for _ in range(iterations):
        codes = lloyd_step(vectors, codes, generator)
    return codes


def lloyd_step(vectors: Tensor, codes: Tensor, generator: torch.Generator) -> Tensor:
    nearest = nearest_codes(vectors, codes)
    count = nearest.bincount(minlength=len(codes)).unsqueeze(1)
    total = torch.zeros_like(codes).index_add_(0, nearest, vectors)
    moved = torch.where(count > 0, total / count.clamp_min(1), codes)
    lost = (count == 0).squeeze(1)
    moved[lost] = vectors[torch.randint(len(vectors), (int(lost.sum()),), generator=generator)]
    return moved


def nearest_codes(vectors: Tensor, codes: Tensor) -> Tensor:
    """Index of the nearest code of each vector, (N, D) -> (N,)."""
    half_norms = codes.square().sum(1) / 2
    return torch.cat([(half_norms - chunk @ codes.T).argmin(1) for chunk in vectors.split(CHUNK)])


def reconstruct_patches(images: Tensor, codes: Tensor, patch_px: int) -> tuple[Tensor, Tensor]:
    """Replace each patch by its nearest code; (B, 3, H, W) in [0, 1] -> the same, and indices (B, L)."""
    batch, channels, height, width = images.shape
    rows, columns = height // patch_px, width // patch_px
    patches = images.reshape(batch, channels, rows, patch_px, columns, patch_px)
    vectors = patches.permute(0, 2, 4, 3, 5, 1).reshape(-1, patch_px * patch_px * channels)  # (B*rows*columns, D)
    indices = nearest_codes(vectors, codes)
    tiles = codes[indices].view(batch, rows, columns, patch_px, patch_px, channels)
    return tiles.permute(0, 5, 1, 3, 2, 4).reshape(images.shape), indices.view(batch, -1)
