"""Index backpropagation quantization (IBQ, Shi et al. 2024, arXiv:2412.02692): codes are scored by dot products.

As in SEED-Voken `IBQ/modules/vqvae/quantize.py`, without its optional entropy loss.
"""

from types import ModuleType

import torch
from torch import Tensor, nn

from .base import Quantized, mean_square
from .nearest import codebook, without_autocast


class DotQuantizer(nn.Module):
    """Snaps each latent vector to the code with which its dot product is largest.

    In training, gradients reach every code through the softmax of the scores.
    """

    def __init__(self, num_codes: int, dim: int, beta: float = 0.25, operations: ModuleType = nn) -> None:
        super().__init__()
        self.num_codes = num_codes
        self.beta = beta
        self.embedding = operations.Embedding(num_codes, dim)

    def forward(self, z: Tensor, generator: torch.Generator | None = None) -> Quantized:
        """Quantize z (B, D, h, w); `generator` is there for quantizers that draw, nothing is random here."""
        scores = self.scores(z)
        indices = scores.argmax(1)
        hard = self.lookup(indices).to(z.dtype)
        z_q = self._soft_codes(scores, indices).to(z.dtype) if self.training else hard
        pull_encoder = mean_square(z_q, z) + mean_square(hard.detach(), z)
        return Quantized(z_q, indices, pull_encoder + self.beta * mean_square(hard, z.detach()))

    def lookup(self, indices: Tensor) -> Tensor:
        """Vectors of `indices`, (B, h, w) -> (B, D, h, w)."""
        return self.embedding(indices).permute(0, 3, 1, 2).contiguous()

    def scores(self, z: Tensor) -> Tensor:
        """Dot product of each latent of z (B, D, h, w) with each code, (B, K, h, w) float32."""
        codes = codebook(self.embedding, self.num_codes, z).float()
        with without_autocast(z.device):
            return torch.einsum("bdhw,kd->bkhw", z.float(), codes)

    def _soft_codes(self, scores: Tensor, indices: Tensor) -> Tensor:
        """The codes of `indices` with the gradient of the mean code under the softmax of `scores` (B, K, h, w)."""
        codes = codebook(self.embedding, self.num_codes, scores).float()
        soft = scores.softmax(1)
        hard = torch.zeros_like(soft).scatter_(1, indices.unsqueeze(1), 1.0)
        return torch.einsum("bkhw,kd->bdhw", hard - soft.detach() + soft, codes)
