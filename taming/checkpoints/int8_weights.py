"""Weights stored as int8 with a scale for each row: half of float16, for files that should be small."""

from __future__ import annotations

import torch
from torch import Tensor

from .keymaps import CODEBOOK_KEYS

SUFFIX = "_scale"  # of the key that holds the scales of a weight
LARGEST = 127


def to_int8(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Round each row of the matrices and kernels in `weights` over its own range; everything else becomes float16.

    A row is what makes one output: `w[i]` of a weight `w`, (out, ...). Codebooks stay as they are in float16, since
    tokens are chosen by them. The rounding error is at most 1/254 of a row's largest weight.
    """
    stored: dict[str, Tensor] = {}
    for key, tensor in weights.items():
        if not tensor.is_floating_point():
            stored[key] = tensor
        elif tensor.ndim < 2 or len(tensor) == 1 or key in CODEBOOK_KEYS:
            stored[key] = tensor.to(torch.float16)
        else:
            rows = tensor.float().flatten(1)
            scale = (rows.abs().amax(1) / LARGEST).clamp(min=torch.finfo(torch.float32).tiny)  # (out,)
            stored[key] = (rows / scale[:, None]).round().to(torch.int8).view(tensor.shape)
            stored[key + SUFFIX] = scale
    return stored


def from_int8(stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights again: those that have scales in float32, the others as they are."""
    weights = dict(stored)
    for key, tensor in stored.items():
        scale = stored.get(key + SUFFIX)
        if tensor.dtype == torch.int8 and scale is not None and scale.shape == tensor.shape[:1]:
            weights[key] = tensor.float() * scale.float().view(-1, *[1] * (tensor.ndim - 1))
            del weights[key + SUFFIX]
    return weights
