"""What every quantizer returns, and the distance that most of them are trained by."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Quantized:
    """Latents snapped to a codebook."""

    z_q: Tensor  # (B, D, h, w) quantized latents; in training, gradients pass straight through
    indices: Tensor  # (B, h, w) int64 codebook rows
    loss: Tensor  # () weighted codebook, commitment or KL loss


def mean_square(a: Tensor, b: Tensor) -> Tensor:
    """The mean of the squared differences, (); in float32 for bfloat16, which torch 2.5 lacks it for on CPUs."""
    return F.mse_loss(a.float(), b.float()) if a.dtype == torch.bfloat16 else F.mse_loss(a, b)
