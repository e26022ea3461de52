"""Sampling from image to image: draw a picture, or draw part of one again."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from ..conditioning import Condition, TokenModel, get_condition
from ..configs.sampling import PLAIN, SamplingOptions
from ..errors import ConditionError, TokensError
from ..modules.quantizers import Quantized
from .edits import choose_cells, forget_cells
from .generate import Callback, generate, sample_grid


class Tokenizer(Protocol):
    """A VQGAN, as far as images are concerned."""

    @property
    def factor(self) -> int:
        """Pixels per token side."""
        ...

    @property
    def num_tokens(self) -> int:
        """How many different tokens there are."""
        ...

    def encode(self, pixels: Tensor) -> Quantized:
        """Tokens of pixels, (B, 3, H, W) in [-1, 1]."""
        ...

    def decode_indices(self, indices: Tensor) -> Tensor:
        """Tokens (B, h, w) to unclamped pixels (B, 3, h * factor, w * factor)."""
        ...


@torch.no_grad()
def generate_image(
    vqgan: Tokenizer,
    transformer: TokenModel,
    condition: Condition | None = None,
    seed: int = 0,
    grid: tuple[int, int] | None = None,
    options: SamplingOptions = PLAIN,
    callback: Callback | None = None,
) -> Tensor:
    """Draw one image per item of `condition`, (B, 3, H, W) in [0, 1]; no condition is the unconditional one.

    `grid`, (h, w) tokens, is the one that the transformer was trained on unless another is asked for.
    """
    condition = get_condition(transformer) if condition is None else condition
    if condition.transformer is not transformer:
        raise ConditionError(
            "The condition was built for another transformer. Build it with get_condition(transformer, ...)."
        )
    check_vocabulary(transformer, vqgan.num_tokens)
    indices = sample_grid(condition, grid=grid, options=options, seed=seed, callback=callback)
    return _to_image(vqgan.decode_indices(indices))


@torch.no_grad()
def transform_image(
    vqgan: Tokenizer,
    image: Tensor,
    condition: Condition,
    strength: float = 0.8,
    seed: int = 0,
    mask: Tensor | None = None,
    options: SamplingOptions = PLAIN,
    callback: Callback | None = None,
    patch: int = 1,
) -> Tensor:
    """Draw a random `strength` share of the tokens of `image`, (B, 3, H, W) in [0, 1], again; same shape and range.

    `mask`, (B or 1, H, W) in [0, 1], limits the choice to tokens that it touches. Tokens are chosen in patches of about
    `patch` tokens across.
    """
    check_vocabulary(condition.transformer, vqgan.num_tokens)
    indices = vqgan.encode(image * 2 - 1).indices
    batch, height, width = indices.shape
    among = None if mask is None else forget_cells(mask.cpu(), (batch, height, width), vqgan.factor)
    known = ~choose_cells((batch, height, width), strength, seed, among, patch).to(indices.device)
    indices = generate(condition, indices, known, options=options, seed=seed, callback=callback)
    return _to_image(vqgan.decode_indices(indices))


def check_vocabulary(transformer: TokenModel, num_codes: int) -> None:
    """Raise TokensError unless `transformer` draws from a codebook of `num_codes`."""
    if transformer.config.vocab_size != num_codes:
        raise TokensError(
            f"The transformer draws from {transformer.config.vocab_size} codes and the tokenizer has {num_codes}: they "
            "do not belong together. Use the tokenizer that the transformer was trained on."
        )


def _to_image(pixels: Tensor) -> Tensor:
    return (pixels.clamp(-1, 1) + 1) / 2
