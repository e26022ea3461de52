"""Vector quantization whose codebook follows running averages (van den Oord et al. 2017, appendix A.1)."""

from types import ModuleType

import torch
from torch import Tensor, nn

from .base import Quantized, mean_square
from .nearest import closeness, code_parts, codebook, nearest_in_turn
from .restart import draw_latents


class EMAVectorQuantizer(nn.Module):
    """Snaps each latent vector to its nearest code; in training mode the codes track what was assigned to them.

    A code whose running count falls below `restart_below` is dead: it restarts at a random latent vector of the
    batch, so that the codebook cannot collapse.
    """

    def __init__(
        self,
        num_codes: int,
        dim: int,
        beta: float = 0.25,
        decay: float = 0.99,
        restart_below: float = 0.05,
        operations: ModuleType = nn,
    ) -> None:
        super().__init__()
        self.num_codes = num_codes
        self.beta = beta
        self.decay = decay
        self.restart_below = restart_below
        self.embedding = operations.Embedding(num_codes, dim).requires_grad_(False)
        # A count of one, not zero: an unused code then keeps its vector instead of being divided by almost nothing.
        self.embedding.register_buffer("cluster_size", torch.ones(num_codes))
        self.embedding.register_buffer("embed_avg", torch.zeros(num_codes, dim))

    def forward(self, z: Tensor, generator: torch.Generator | None = None) -> Quantized:
        indices = nearest_in_turn(z, code_parts(self.embedding, self.num_codes, z))
        z_q = self.lookup(indices).detach().to(z.dtype)
        loss = self.beta * mean_square(z, z_q)
        if self.training:
            self.update(z, indices, generator)
        return Quantized(z + (z_q - z).detach(), indices, loss)

    def lookup(self, indices: Tensor) -> Tensor:
        """Codes of `indices`, (B, h, w) -> (B, D, h, w)."""
        return self.embedding(indices).permute(0, 3, 1, 2).contiguous()

    def scores(self, z: Tensor) -> Tensor:
        """Minus the squared distance of each latent of z (B, D, h, w) to each code, (B, K, h, w)."""
        return closeness(z, codebook(self.embedding, self.num_codes, z))

    @torch.no_grad()
    def start_at(self, vectors: Tensor) -> None:
        """Put the codes at `vectors`, (K, D), and forget the running averages."""
        self.embedding.weight.copy_(vectors)
        self.embedding.embed_avg.copy_(vectors)
        self.embedding.cluster_size.fill_(1.0)

    @torch.no_grad()
    def update(self, z: Tensor, indices: Tensor, generator: torch.Generator | None = None) -> None:
        """Move the codes towards the latents `z` (B, D, h, w) that `indices` (B, h, w) assigned to them."""
        flat = z.permute(0, 2, 3, 1).reshape(-1, z.shape[1]).float()  # (B*h*w, D)
        chosen = indices.reshape(-1)
        count = torch.bincount(chosen, minlength=self.num_codes).float()
        total = torch.zeros_like(self.embedding.embed_avg).index_add_(0, chosen, flat)
        several = torch.distributed.is_available() and torch.distributed.is_initialized()
        if several:  # processes that train one model: the codes follow the latents of all
            torch.distributed.all_reduce(count)
            torch.distributed.all_reduce(total)
        size, average = self.embedding.cluster_size, self.embedding.embed_avg
        if not average.any():  # a codebook that was never started from data: its averages begin at its own vectors
            average.copy_(self.embedding.weight)
        size.lerp_(count, 1 - self.decay)
        average.lerp_(total, 1 - self.decay)
        dead = (size < self.restart_below).nonzero().squeeze(1)
        if len(dead):
            average[dead] = draw_latents(flat, len(dead), generator)
            size[dead] = 1.0
        if several:  # each drew its own
            torch.distributed.broadcast(average, 0)
            torch.distributed.broadcast(size, 0)
        self.embedding.weight.copy_(average / size.unsqueeze(1))
