"""From logits to one token: temperature, top-k, top-p, min-p, then the draw."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..conditioning import TokenModel
from ..configs.sampling import SamplingOptions

# What a model recommends that does not say so itself; the scale is for models with a null condition.
TOP_K, TOP_P, GUIDANCE_SCALE = 100, 0.95, 3.0


def recommended_options(model: TokenModel) -> SamplingOptions:
    """The settings under which `model` samples its best images: its own, if its file has any, else usual ones."""
    config = model.config
    if config.recommended is not None:
        return config.recommended
    guidance_scale = GUIDANCE_SCALE if config.has_null_condition else 1.0
    return SamplingOptions(top_k=TOP_K, top_p=TOP_P, guidance_scale=guidance_scale)


def filter_logits(
    logits: Tensor, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0, min_p: float = 0.0
) -> Tensor:
    """Scale logits (..., V) by a `temperature` above 0 and set those of the tokens filtered out to -inf.

    Temperature, top-k and top-p act in the order of transformers 4.3.1 `top_k_top_p_filtering`, which the reference
    uses, and give its results bit for bit. Ties at the k-th logit are all kept, and so is the token that crosses top_p.
    """
    logits = logits / temperature
    if top_k > 0:
        smallest_kept = logits.topk(min(top_k, logits.shape[-1])).values[..., -1:]
        logits = logits.masked_fill(logits < smallest_kept, -math.inf)
    # The reference runs top-p whenever top-k is on. At 1.0 it then drops only tail tokens that lie beyond a float32
    # sum of 1, in all less than 1e-5 of the probability.
    if top_p < 1.0 or top_k > 0:
        logits = _nucleus(logits, top_p)
    if min_p > 0.0:
        logits = logits.masked_fill(logits < logits.amax(-1, keepdim=True) + math.log(min_p), -math.inf)
    return logits


def _nucleus(logits: Tensor, top_p: float) -> Tensor:
    """Top-p (Holtzman et al., The Curious Case of Neural Text Degeneration, 2019)."""
    ordered, order = logits.sort(descending=True)
    reached = ordered.softmax(-1).cumsum(-1) > top_p
    beyond = torch.zeros_like(reached)
    beyond[..., 1:] = reached[..., :-1]
    return logits.masked_fill(beyond.scatter(-1, order, beyond), -math.inf)


def sample_next(logits: Tensor, options: SamplingOptions, noise: Tensor) -> Tensor:
    """Draw a token from each of `logits`, (..., V), with its Gumbel `noise`, (..., V) float32; (...) int64."""
    if options.temperature < 1e-6:  # the division would overflow
        return logits.argmax(-1)
    logits = filter_logits(logits.float(), options.temperature, options.top_k, options.top_p, options.min_p)
    return (logits + noise).argmax(-1)
