"""Nearest-neighbor vector quantization with a learned codebook (van den Oord et al. 2017, arXiv:1711.00937)."""

from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .quantized import Quantized


class VectorQuantizer(nn.Module):
    """Snaps each latent vector to its nearest code.

    `legacy=True` reproduces the published training loss, where `beta` weighs the codebook term instead of the
    commitment term; indices and latents are the same either way.
    """

    def __init__(
        self, num_codes: int, dim: int, beta: float = 0.25, legacy: bool = True, operations: ModuleType = nn
    ) -> None:
        super().__init__()
        self.num_codes = num_codes
        self.beta = beta
        self.legacy = legacy
        self.embedding = operations.Embedding(num_codes, dim)
        if operations is nn:  # a host's layers may hold no weights before loading
            nn.init.uniform_(self.embedding.weight, -1 / num_codes, 1 / num_codes)

    def forward(self, z: Tensor, generator: torch.Generator | None = None) -> Quantized:
        """Quantize z (B, D, h, w); `generator` is there for quantizers that draw, nothing is random here."""
        indices = nearest_codes(z, codebook(self.embedding, self.num_codes, z))
        z_q = self.lookup(indices).to(z.dtype)
        pull_encoder = F.mse_loss(z, z_q.detach())
        pull_codes = F.mse_loss(z_q, z.detach())
        loss = pull_encoder + self.beta * pull_codes if self.legacy else self.beta * pull_encoder + pull_codes
        return Quantized(z + (z_q - z).detach(), indices, loss)

    def lookup(self, indices: Tensor) -> Tensor:
        """Codes of `indices`, (B, h, w) -> (B, D, h, w)."""
        # Contiguous, or all of the decoder would run channels-last, which agrees with the reference one digit less.
        return self.embedding(indices).permute(0, 3, 1, 2).contiguous()

    @torch.no_grad()
    def start_at(self, vectors: Tensor) -> None:
        """Put the codes at `vectors`, (K, D)."""
        self.embedding.weight.copy_(vectors)


def codebook(embedding: nn.Module, num_codes: int, like: Tensor) -> Tensor:
    """All codes, (K, D), through the layer's own forward so that a host can cast or fetch the weight."""
    return embedding(torch.arange(num_codes, device=like.device))


def nearest_codes(z: Tensor, codes: Tensor) -> Tensor:
    """Index of the nearest of `codes` (K, D) for each vector of `z` (B, D, h, w); returns (B, h, w).

    Distances are expanded as in the reference, in float32, so that near ties fall the same way.
    """
    batch, dim, height, width = z.shape
    flat = z.permute(0, 2, 3, 1).reshape(-1, dim).float()  # (B*h*w, D)
    codes = codes.float()
    distance = flat.pow(2).sum(1, keepdim=True) + codes.pow(2).sum(1) - 2 * flat @ codes.T  # (B*h*w, K)
    return distance.argmin(1).view(batch, height, width)
