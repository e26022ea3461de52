"""Running averages of weights that training kept beside the last ones, and which of the two a file's programs take."""

from __future__ import annotations

import logging

from torch import Tensor

PREFIX = "model_ema."  # of latent-diffusion `modules/ema.py`

log = logging.getLogger(__name__)


def with_averages(weights: dict[str, Tensor], place: str, name: str) -> dict[str, Tensor]:
    """`weights` with those of which they also hold the running average replaced by it; the log says so.

    The averages are what the authors of such files (IBQ) evaluate and sample with. Their keys have no dots. A first
    stage, by its `place` in the file `name`, has the last ones: those are what its transformer was trained on.
    """
    averaged = {key: weights.get(PREFIX + key.replace(".", ""), tensor) for key, tensor in weights.items()}
    if all(averaged[key] is tensor for key, tensor in weights.items()):
        return weights
    if "first_stage_model" in place.split("."):
        log.info("%s: the last weights of the first stage are used, not their running averages (%s*).", name, PREFIX)
        return weights
    log.info("%s: the running averages of the weights (%s*) are used, not the last ones.", name, place + PREFIX)
    return averaged
