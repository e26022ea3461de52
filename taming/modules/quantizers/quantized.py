"""What every quantizer returns."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Quantized:
    """Latents snapped to a codebook."""

    z_q: Tensor  # (B, D, h, w) quantized latents; in training, gradients pass straight through
    indices: Tensor  # (B, h, w) int64 codebook rows
    loss: Tensor  # () weighted codebook, commitment or KL loss
