"""Gumbel-softmax quantization (Jang et al. 2017, arXiv:1611.01144), as in the published `GumbelVQ` models."""

from types import ModuleType

import torch
from torch import Tensor, nn

from .base import Quantized
from .nearest import codebook
from .remap import Remap, RemappedQuantizer


class GumbelQuantizer(RemappedQuantizer):
    """Scores every code by a 1x1 convolution and takes one.

    Encoding is deterministic (the likeliest code) unless a `generator` is passed or the module is training;
    the reference adds noise even when it only encodes. Gradients reach the encoder in training mode only.

    `temperature`, which a training schedule sets, is that of the gradient: the choice of a code does not depend on it.

    With a `remap`, only codes that have a token are scored, as published, so none is ever unknown.
    """

    def __init__(
        self,
        num_codes: int,
        dim: int,
        in_channels: int,
        kl_weight: float = 5e-4,
        operations: ModuleType = nn,
        remap: Remap | None = None,
    ) -> None:
        super().__init__(remap)
        self.num_codes = num_codes
        self.kl_weight = kl_weight
        self.temperature = 1.0
        self.proj = operations.Conv2d(in_channels, num_codes, 1)
        self.embed = operations.Embedding(num_codes, dim)

    def forward(self, z: Tensor, generator: torch.Generator | None = None) -> Quantized:
        logits = self.scores(z)
        probs = logits.softmax(1)
        loss = self.kl_weight * (probs * (probs * self.num_codes + 1e-10).log()).sum(1).mean()
        if self.training or generator is not None:
            logits = logits + gumbel_noise(logits, generator)
        indices = logits.argmax(1)
        if not self.training:
            return Quantized(self.lookup(indices).to(z.dtype), indices, loss)
        soft = (logits / self.temperature).softmax(1)
        hard = torch.zeros_like(soft).scatter_(1, indices.unsqueeze(1), 1.0)
        one_hot = hard + soft - soft.detach()
        codes = codebook(self.embed, self.num_codes, z)
        if self.remap is not None:
            codes = codes[self.used_codes(z)]
        return Quantized(torch.einsum("bkhw,kd->bdhw", one_hot, codes), indices, loss)

    def scores(self, z: Tensor) -> Tensor:
        """Logits of the codes for each latent of z (B, D, h, w), (B, K, h, w); (B, R, h, w) with a remap."""
        logits = self.proj(z)
        return logits if self.remap is None else logits[:, self.used_codes(z)]

    def lookup(self, indices: Tensor) -> Tensor:
        """Vectors of `indices`, (B, h, w) -> (B, D, h, w)."""
        return self.embed(self.to_codes(indices)).permute(0, 3, 1, 2).contiguous()


def gumbel_noise(logits: Tensor, generator: torch.Generator | None) -> Tensor:
    """Standard Gumbel noise shaped like `logits`, drawn where the generator lives."""
    device = generator.device if generator is not None else logits.device
    uniform = torch.empty(logits.shape, device=device).exponential_(generator=generator)
    return -uniform.log().to(logits)
