"""Nearest-neighbor vector quantization with a learned codebook (van den Oord et al. 2017, arXiv:1711.00937)."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from .base import Quantized, mean_square
from .remap import Remap, RemappedQuantizer

ROWS = 1024  # vectors that look for their code at a time
CODES = 1024  # among which they look at a time: their distances stay in the cache of a CPU


class VectorQuantizer(RemappedQuantizer):
    """Snaps each latent vector to its nearest code.

    `legacy=True` reproduces the published training loss, where `beta` weighs the codebook term instead of the
    commitment term; indices and latents are the same either way.

    With a `remap`, the latents are still those of the whole codebook, as published; only the tokens are fewer.
    """

    def __init__(
        self,
        num_codes: int,
        dim: int,
        beta: float = 0.25,
        legacy: bool = True,
        operations: ModuleType = nn,
        remap: Remap | None = None,
    ) -> None:
        super().__init__(remap)
        self.num_codes = num_codes
        self.beta = beta
        self.legacy = legacy
        self.embedding = operations.Embedding(num_codes, dim)
        if operations is nn:  # a host's layers may hold no weights before loading
            nn.init.uniform_(self.embedding.weight, -1 / num_codes, 1 / num_codes)

    def forward(self, z: Tensor, generator: torch.Generator | None = None) -> Quantized:
        """Quantize z (B, D, h, w).

        `generator` draws the tokens of codes that a remap has none for, where the reference draws them; without one
        they get the token of the nearest code that has one, so that the same picture gives the same tokens.
        """
        chosen = nearest_in_turn(z, code_parts(self.embedding, self.num_codes, z))
        z_q = self._vectors(chosen).to(z.dtype)
        pull_encoder = mean_square(z, z_q.detach())
        pull_codes = mean_square(z_q, z.detach())
        loss = pull_encoder + self.beta * pull_codes if self.legacy else self.beta * pull_encoder + pull_codes
        if self.remap is None:
            indices = chosen
        else:
            indices = self.to_tokens(chosen, self.num_codes, self._substitutes(z, self.remap, generator))
        return Quantized(z + (z_q - z).detach(), indices, loss)

    def lookup(self, indices: Tensor) -> Tensor:
        """Vectors of `indices`, (B, h, w) -> (B, D, h, w)."""
        return self._vectors(self.to_codes(indices))

    def scores(self, z: Tensor) -> Tensor:
        """Minus the squared distance of each latent of z (B, D, h, w) to each code, (B, K, h, w)."""
        return closeness(z, codebook(self.embedding, self.num_codes, z))

    @torch.no_grad()
    def start_at(self, vectors: Tensor) -> None:
        """Put the codes at `vectors`, (K, D)."""
        self.embedding.weight.copy_(vectors)

    @torch.no_grad()
    def place_codes(self, rows: Tensor, vectors: Tensor) -> None:
        """Put the codes `rows` (R,) at `vectors`, (R, D)."""
        self.embedding.weight[rows] = vectors.to(self.embedding.weight)

    def _vectors(self, codes: Tensor) -> Tensor:
        return self.embedding(codes).permute(0, 3, 1, 2).contiguous()

    def _substitutes(self, z: Tensor, remap: Remap, generator: torch.Generator | None) -> Tensor:
        """For each vector of z, the token it has if its code has none; (B, h, w)."""
        shape = (z.shape[0], *z.shape[2:])
        if remap.unknown_index is not None:
            return torch.full(shape, remap.unknown_index, device=z.device)
        if generator is not None:
            drawn = torch.randint(remap.num_used, shape, generator=generator, device=generator.device)
            return drawn.to(z.device)
        return nearest_codes(z, self.embedding(self.used_codes(z)))


def codebook(embedding: nn.Module, num_codes: int, like: Tensor) -> Tensor:
    """All codes, (K, D), through the layer's own forward so that a host can cast or fetch the weight."""
    return embedding(torch.arange(num_codes, device=like.device))


def code_parts(embedding: nn.Module, num_codes: int, like: Tensor) -> Iterator[Tensor]:
    """The same in parts, (any, D), so that no second codebook is ever there."""
    for rows in even_parts(torch.arange(num_codes, device=like.device), CODES):
        yield embedding(rows)


def nearest_codes(z: Tensor, codes: Tensor) -> Tensor:
    """Index of the nearest of `codes` (K, D) for each vector of `z` (B, D, h, w); returns (B, h, w)."""
    return nearest_in_turn(z, even_parts(codes, CODES))


@torch.no_grad()
def nearest_in_turn(z: Tensor, parts: Iterable[Tensor]) -> Tensor:
    """As `nearest_codes`, of codes that come in `parts`, (any, D).

    Distances are expanded as in the reference, in float32, so that near ties fall the same way; of equally near codes
    the first is taken. Only a part of the matrix of distances exists at a time.
    """
    vectors = vectors_of(z)
    least = vectors.new_full((len(vectors),), torch.inf)
    nearest = torch.zeros_like(least, dtype=torch.int64)
    in_parts = list(zip(*(even_parts(each, ROWS) for each in (vectors, least, nearest)), strict=True))
    start = 0
    for codes in parts:
        for some, least_so_far, nearest_so_far in in_parts:
            distance, index = squared_distances(some, codes).min(1)
            nearest_so_far.copy_(torch.where(distance < least_so_far, index + start, nearest_so_far))
            least_so_far.copy_(torch.minimum(distance, least_so_far))
        start += len(codes)
    return nearest.view(z.shape[0], *z.shape[2:])


def even_parts(rows: Tensor, size: int) -> Sequence[Tensor]:
    """`rows` in parts of nearly the same size, at most `size`: a product with few rows is rounded in another order."""
    return rows.tensor_split(max(1, -(-len(rows) // size)))


def closeness(z: Tensor, codes: Tensor) -> Tensor:
    """Minus the squared distance of each vector of `z` (B, D, h, w) to each of `codes` (K, D), (B, K, h, w)."""
    batch, _, height, width = z.shape
    distances = squared_distances(vectors_of(z), codes).view(batch, height, width, -1)
    return -distances.permute(0, 3, 1, 2)  # (B, K, h, w)


def without_autocast(device: torch.device) -> AbstractContextManager[Any]:
    """Where what is in float32 is computed in it: half precision would choose other codes."""
    # Not every device knows autocast, `meta` among those that do not.
    return torch.autocast(device.type, enabled=False) if torch.amp.is_autocast_available(device.type) else nullcontext()


def vectors_of(z: Tensor) -> Tensor:
    """The latents z (B, D, h, w) one by one, (B*h*w, D) float32."""
    return z.permute(0, 2, 3, 1).reshape(-1, z.shape[1]).float()  # (B*h*w, D)


def squared_distances(vectors: Tensor, codes: Tensor) -> Tensor:
    """From each of `vectors` (N, D), float32, to each of `codes` (K, D), (N, K) float32."""
    codes = codes.float()
    with without_autocast(vectors.device):
        # The product is a matrix of its own: added up onto the norms by `addmm`, from D = 256 on it rounds otherwise,
        # and near ties fall another way than in the reference.
        return (vectors.pow(2).sum(1, keepdim=True) + codes.pow(2).sum(1)).sub_(vectors @ codes.T, alpha=2)
