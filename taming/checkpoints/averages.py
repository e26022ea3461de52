"""Running averages of weights that training kept beside the last ones (latent-diffusion `modules/ema.py`)."""

from __future__ import annotations

from torch import Tensor

PREFIX = "model_ema."


def with_averages(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """`weights` with those of which the file also holds the running average replaced by it.

    The averages are what the authors of such files (IBQ) evaluate and sample with. Their keys have no dots.
    """
    return {key: weights.get(PREFIX + key.replace(".", ""), tensor) for key, tensor in weights.items()}
