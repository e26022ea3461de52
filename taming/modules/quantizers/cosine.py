"""Vector quantization by direction: latents and codes of length one (ViT-VQGAN, Yu et al. 2021, arXiv:2110.04627).

As in the tokenizers of LlamaGen and Janus (LlamaGen `tokenizer/tokenizer_image/vq_model.py`, without its optional
entropy loss, which the published models were trained without).
"""

from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .base import Quantized, mean_square
from .nearest import codebook, nearest_codes, without_autocast


class CosineQuantizer(nn.Module):
    """Snaps each latent vector to the code that points most nearly the same way; what it returns has length one.

    The codes are stored at any length and brought to length one wherever they are used.
    """

    def __init__(self, num_codes: int, dim: int, beta: float = 0.25, operations: ModuleType = nn) -> None:
        super().__init__()
        self.num_codes = num_codes
        self.beta = beta
        self.embedding = operations.Embedding(num_codes, dim)

    def forward(self, z: Tensor, generator: torch.Generator | None = None) -> Quantized:
        """Quantize z (B, D, h, w); `generator` is there for quantizers that draw, nothing is random here."""
        directions = self._directions(z)
        indices = nearest_codes(directions, self._unit_codes(z))
        z_q = self.lookup(indices).to(z.dtype)
        directions = directions.to(z.dtype)
        loss = mean_square(z_q, directions.detach()) + self.beta * mean_square(directions, z_q.detach())
        return Quantized(directions + (z_q - directions).detach(), indices, loss)

    def lookup(self, indices: Tensor) -> Tensor:
        """Vectors of length one of `indices`, (B, h, w) -> (B, D, h, w)."""
        return F.normalize(self.embedding(indices), dim=-1).permute(0, 3, 1, 2).contiguous()

    def scores(self, z: Tensor) -> Tensor:
        """Cosine of the angle of each latent of z (B, D, h, w) to each code, (B, K, h, w) in [-1, 1]."""
        directions, codes = self._directions(z), self._unit_codes(z)
        with without_autocast(z.device):
            return torch.einsum("bdhw,kd->bkhw", directions, codes)

    @torch.no_grad()
    def start_at(self, vectors: Tensor) -> None:
        """Have the codes point along `vectors`, (K, D), which should be centers of directions."""
        self.embedding.weight.copy_(F.normalize(vectors, dim=-1))

    @torch.no_grad()
    def place_codes(self, rows: Tensor, vectors: Tensor) -> None:
        """Have the codes `rows` (R,) point along `vectors`, (R, D)."""
        # Of length one, because a code turns the slower the longer it is.
        self.embedding.weight[rows] = F.normalize(vectors, dim=-1).to(self.embedding.weight)

    def _directions(self, z: Tensor) -> Tensor:
        # Normalized with the channels last, as the family does: the sums then round the same way.
        return F.normalize(z.permute(0, 2, 3, 1).contiguous().float(), dim=-1).permute(0, 3, 1, 2)

    def _unit_codes(self, like: Tensor) -> Tensor:
        return F.normalize(codebook(self.embedding, self.num_codes, like).float(), dim=-1)
