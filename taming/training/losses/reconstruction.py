"""How far a reconstruction is from its picture: by pixels, and as people see it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

Perceptual = Callable[[Tensor, Tensor], Tensor]  # two batches (B, 3, H, W) in [-1, 1] to distances (B,)


@dataclass(frozen=True)
class Reconstruction:
    """The distance that training minimizes, and what it is made of."""

    loss: Tensor  # () weighted sum of the others
    l1: Tensor  # () mean absolute difference
    l2: Tensor  # () mean squared difference
    perceptual: Tensor  # () mean perceptual distance; 0 where none was asked for


def reconstruction_loss(
    rec: Tensor,
    pixels: Tensor,
    *,
    l1_weight: float = 1.0,
    l2_weight: float = 0.0,
    perceptual_weight: float = 0.0,
    perceptual: Perceptual | None = None,
) -> Reconstruction:
    """Compare `rec` with `pixels`, both (B, C, H, W) in [-1, 1].

    The reference's is `l1_weight=1` with `perceptual_weight=1` and LPIPS (Esser et al. 2021, section 3.1).
    `perceptual` is used only where `perceptual_weight` is not 0, and must then be given.
    """
    l1, l2 = F.l1_loss(rec, pixels), F.mse_loss(rec, pixels)
    loss = l1_weight * l1 + l2_weight * l2
    if not perceptual_weight:
        return Reconstruction(loss, l1, l2, l1.new_zeros(()))
    assert perceptual is not None, "a perceptual weight needs a perceptual distance"
    distance = perceptual(pixels, rec).mean()
    return Reconstruction(loss + perceptual_weight * distance, l1, l2, distance)
