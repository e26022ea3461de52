"""Plain k-means (Lloyd), to start a codebook from the latents that it will have to cover."""

import torch
from torch import Tensor


def kmeans(vectors: Tensor, num_codes: int, generator: torch.Generator, iterations: int = 12) -> Tensor:
    """Centers of `vectors`, (N, D) -> (num_codes, D); a center that loses all its vectors restarts at one."""
    centers = vectors[torch.randperm(len(vectors), generator=generator)[:num_codes]].clone()
    for _ in range(iterations):
        nearest = torch.cdist(vectors, centers).argmin(1)
        count = nearest.bincount(minlength=num_codes).unsqueeze(1)
        total = torch.zeros_like(centers).index_add_(0, nearest, vectors)
        lost = (count == 0).squeeze(1)
        centers = torch.where(count > 0, total / count.clamp_min(1), centers)
        centers[lost] = vectors[torch.randint(len(vectors), (int(lost.sum()),), generator=generator)]
    return centers
