"""A transformer as the sampler uses it: its condition in front of every sequence, guidance in its logits."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..conditioning import Condition, Window
from ..errors import ConditionError, TamingError, TokensError
from ..modules.acceleration import capture_step
from ..modules.kv_cache import KVCache


class Decoder:
    """The state of one sampling call. With guidance every sequence runs twice: with and without the condition.

    Args:
        condition: of every item of the batch.
        is_whole: all tokens go through one cache, so that a GPU may replay a captured step.
    """

    def __init__(self, condition: Condition, guidance_scale: float, is_whole: bool = False) -> None:
        self.model = condition.transformer
        self.guidance_scale = guidance_scale
        self.prefixes = [condition.prefix]
        self.context = condition.context
        if guidance_scale != 1.0:
            if condition.null_prefix is None:
                raise ConditionError(
                    f"guidance_scale is {guidance_scale:g}, but this transformer was not trained with a null condition "
                    "to guide away from. Set guidance_scale to 1."
                )
            self.prefixes.append(condition.null_prefix)
            if self.context is not None:
                null_context = self.context if condition.null_context is None else condition.null_context
                self.context = torch.cat([self.context, null_context])  # (2 * B, S, D)
        self._cache = self.model.new_cache(0)
        self._may_capture = is_whole
        self._captured_step: Callable[[Tensor], Tensor] | None = None

    def condition_tokens(self, window: Window) -> Tensor:
        """Tokens in front of the cells of `window`, (rows, S): a row for each item, and one more with guidance.

        Raises:
            ConditionError: the condition does not fit the grid.
            TokensError: the transformer cannot draw cells one by one.
        """
        tokens = torch.cat([prefix.at(window) for prefix in self.prefixes]).to(self.model.input_device)
        if self.model.config.n_unmasked > tokens.shape[1]:
            raise TokensError(
                f"This transformer sees its first {self.model.config.n_unmasked} tokens in both directions, but "
                f"its condition has only {tokens.shape[1]}: it was not trained to draw the others one by one."
            )
        return tokens

    def repeat(self, tokens: Tensor) -> Tensor:
        """(B, T) tokens for every row, (rows, T)."""
        return tokens.repeat(len(self.prefixes), 1)

    def new_cache(self, capacity: int) -> KVCache:
        """An empty cache for a sequence of up to `capacity` tokens, condition included."""
        return self._cache.new(capacity)

    def decode(self, tokens: Tensor, cache: KVCache, last: int = 1) -> Tensor:
        """Logits after the `last` of `tokens`, (rows, T) -> (rows, last, V); the tokens join `cache`."""
        if tokens.shape[1] == 1 and cache.length and self._may_capture:
            self._captured_step = self._captured_step or capture_step(self.model, cache, self.context)
            self._may_capture = self._captured_step is not None
        if tokens.shape[1] == 1 and self._captured_step is not None:
            return self._captured_step(tokens)
        return self.model.decode(tokens, cache, self.context, last)

    def guide(self, logits: Tensor) -> Tensor:
        """Logits of the rows, (rows, ...), to those of the items, (B, ...): classifier-free guidance.

        Ho and Salimans, Classifier-Free Diffusion Guidance, 2022.
        """
        if len(self.prefixes) == 1:
            return logits
        cond, uncond = logits.float().chunk(2)
        return uncond + self.guidance_scale * (cond - uncond)


def check_finite(logits: Tensor) -> None:
    """Raise TamingError unless `logits` are finite numbers."""
    if not torch.isfinite(logits).all():
        raise TamingError(
            "The transformer's logits are not finite numbers. Its weights are damaged, or it overflows in "
            f"{logits.dtype}; load it in float32."
        )
