"""Which codes are in use while a codebook trains, and a new place for those that are not."""

import torch
from torch import Tensor, nn

from .cosine import CosineQuantizer
from .nearest import VectorQuantizer
from .restart import draw_latents


class CodeUsage(nn.Module):
    """Running counts of a codebook's codes, kept beside its quantizer: no published file has a place for them.

    A module, so that a training state has its counts.
    """

    cluster_size: Tensor  # (K,) running mean of how many latents of a step chose each code, as an EMA codebook keeps it

    def __init__(self, num_codes: int, decay: float = 0.99) -> None:
        super().__init__()
        self.decay = decay
        self.register_buffer("cluster_size", torch.ones(num_codes))  # one: no code is dead before it had its chance

    @torch.no_grad()
    def update(self, indices: Tensor) -> None:
        """Count the codebook rows `indices`, any shape: the choices of one step on all devices."""
        count = torch.bincount(indices.flatten(), minlength=len(self.cluster_size))
        self.cluster_size.lerp_(count.to(self.cluster_size), 1 - self.decay)

    def dead(self, below: float) -> Tensor:
        """Rows whose running count is less than `below`, (R,) int64."""
        return (self.cluster_size < below).nonzero().squeeze(1)

    def share_alive(self, below: float) -> float:
        """Share of the codes whose running count is `below` or more, in [0, 1]."""
        return 1 - len(self.dead(below)) / len(self.cluster_size)

    def perplexity(self) -> float:
        """Exponential of the entropy of the running counts, in [1, K]: how many codes are used as if evenly."""
        p = self.cluster_size.double() / self.cluster_size.double().sum().clamp_min(1e-30)
        return float(torch.special.entr(p).sum().exp())


@torch.no_grad()
def restart_dead_codes(
    quantizer: VectorQuantizer | CosineQuantizer,
    usage: CodeUsage,
    z: Tensor,
    generator: torch.Generator | None = None,
    below: float = 0.05,
) -> Tensor:
    """Put each code whose running count is less than `below` at a random latent of `z` (B, D, h, w).

    As Jukebox does (Dhariwal et al. 2020, arXiv:2005.00341, section 3.2) for codebooks that learn by gradient. Call it
    after the optimizer's step. An EMA codebook does the same by itself.

    Returns the rows that were moved, (R,) int64; an optimizer that remembers much of them should forget it.
    """
    rows = usage.dead(below)
    if len(rows):
        flat = z.permute(0, 2, 3, 1).reshape(-1, z.shape[1]).float()  # (B*h*w, D)
        quantizer.place_codes(rows, draw_latents(flat, len(rows), generator))
        usage.cluster_size[rows] = 1.0
    return rows
