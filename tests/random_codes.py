"""Latents and codebooks of random values, the same for the same seed."""

from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from taming.modules.quantizers import (
    CosineQuantizer,
    DotQuantizer,
    EMAVectorQuantizer,
    GumbelQuantizer,
    VectorQuantizer,
)

Quantizer = TypeVar("Quantizer", VectorQuantizer, GumbelQuantizer, EMAVectorQuantizer, CosineQuantizer, DotQuantizer)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def latents(seed: int = 0, batch: int = 2, dim: int = 4, height: int = 3, width: int = 5) -> Tensor:
    return torch.randn(batch, dim, height, width, generator=seeded(seed))


def vector_quantizer(num_codes: int = 16, dim: int = 4, seed: int = 1, **options: Any) -> VectorQuantizer:
    return with_random_codes(VectorQuantizer(num_codes, dim, **options), seed)


def with_random_codes(quantizer: Quantizer, seed: int) -> Quantizer:
    for parameter in quantizer.parameters():
        nn.init.normal_(parameter, generator=seeded(seed))
    return quantizer


def channels_last(z: Tensor) -> Tensor:
    return z.permute(0, 2, 3, 1).flatten(0, 2)  # (B*h*w, D)
