"""Where dead codes restart: at latents of the batch (Dhariwal et al. 2020, arXiv:2005.00341, section 3.2)."""

import torch
from torch import Tensor


def draw_latents(latents: Tensor, count: int, generator: torch.Generator | None = None) -> Tensor:
    """`count` of the `latents` (N, D), drawn with replacement where the generator lives; (count, D)."""
    drawn_on = generator.device if generator is not None else latents.device
    picks = torch.randint(len(latents), (count,), generator=generator, device=drawn_on)
    return latents[picks.to(latents.device)]
