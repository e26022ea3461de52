"""Reading a grid through windows of a transformer: the logits of cells, from what stands before each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..conditioning import Condition
from ..errors import ConditionError, TamingError, TokensError
from ..modules.acceleration import capture_step, decode_ragged
from .waves import Read


class WindowReader:
    """The state of one sampling call: keys and values of the windows that cells to come go on in."""

    def __init__(self, condition: Condition, guidance_scale: float, device: torch.device) -> None:
        self.transformer = condition.transformer
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
        self.order = torch.tensor(self.transformer.config.order, device=device)
        self.no_cache = self.transformer.new_cache(0)
        self.caches = {}  # Window -> its KVCache
        self.may_capture = True
        self.captured: Callable[[Tensor], Tensor] | None = None

    def logits(self, wave: Sequence[Read], tokens: Tensor) -> Tensor:
        """Logits of the cells of `wave`, (B, R, V), where what they read of `tokens`, (B, h * w), has been drawn.

        Raises:
            ConditionError: the condition does not fit the grid.
            TamingError: the logits are not finite numbers.
        """
        unread = [self._unread(read, tokens) for read in wave]  # (copies * B, T) each
        caches = [self.caches[read.window] for read in wave]
        if len(wave) > 1:
            logits = decode_ragged(self.transformer, unread, caches, self.context)
        elif step := self._captured_step(wave[0]):
            logits = step(unread[0])
        else:
            logits = self.transformer.decode(unread[0], caches[0], self.context)
        for read in wave:
            if not read.is_kept:
                del self.caches[read.window]
        if any(read.is_new or not read.is_kept for read in wave):  # a NaN on the way stays in the cache
            check_finite(logits)
        return self._guided(logits)

    def logits_ahead(self, reads: Sequence[Read], tokens: Tensor) -> Tensor:
        """Logits of the cells of `reads`, (B, R, V), all of one window, where all but the first may be guesses.

        What they read of `tokens`, (B, h * w), is held until `keep` says how much of it was right.
        """
        first, last = reads[0], reads[-1]
        whole = replace(first, end=last.end, capacity=first.capacity + 1)  # with room: a cache that one call fills
        unread = self._unread(whole, tokens)  # holds nothing
        cache = self.caches[first.window]
        count = last.end - first.end + 1
        logits = self.transformer.decode(unread, cache, self.context, last=count)
        logits = logits[:, [read.end - first.end for read in reads]]
        if first.is_new or not last.is_kept:
            check_finite(logits)
        return self._guided(logits)

    def keep(self, reads: Sequence[Read], count: int) -> None:
        """Of what `logits_ahead` read for `reads`, keep what was read before the first `count` of them."""
        cache = self.caches[reads[0].window]
        cache.truncate(cache.length - reads[-1].end + reads[count - 1].end)

    def _guided(self, logits: Tensor) -> Tensor:
        if len(self.prefixes) == 1:
            return logits
        told, untold = logits.float().chunk(2)
        return untold + self.guidance_scale * (told - untold)

    def _captured_step(self, read: Read) -> Callable[[Tensor], Tensor] | None:
        """The captured step, if `read` is one more token of the one window of a whole grid."""
        if read.is_new or read.end - read.start != 1 or not read.window.is_whole:
            return None
        if self.may_capture and self.captured is None:
            self.captured = capture_step(self.transformer, self.caches[read.window], self.context)
            self.may_capture = self.captured is not None
        return self.captured

    def _unread(self, read: Read, tokens: Tensor) -> Tensor:
        """What `read` adds to its window, the condition in front where the window is new, (copies * B, any)."""
        cells = self._cells(read, tokens).repeat(len(self.prefixes), 1)
        if not read.is_new:
            return cells
        prefix = torch.cat([prefix.at(read.window) for prefix in self.prefixes]).to(tokens.device)
        if self.transformer.config.n_unmasked > prefix.shape[1]:
            raise TokensError(
                f"This transformer sees its first {self.transformer.config.n_unmasked} tokens in both directions, but "
                f"its condition has only {prefix.shape[1]}: it was not trained to draw the others one by one."
            )
        self.caches[read.window] = self.no_cache.new(prefix.shape[1] + read.capacity)
        return torch.cat([prefix, cells], dim=1)

    def _cells(self, read: Read, tokens: Tensor) -> Tensor:
        """Tokens of the cells that `read` adds, (B, any)."""
        window = read.window
        if len(self.order):
            return tokens[:, self.order[read.start : read.end]]
        if window.is_whole:
            return tokens[:, read.start : read.end]
        rows, columns = slice(window.top, window.top + window.height), slice(window.left, window.left + window.width)
        return tokens.view(-1, *window.grid)[:, rows, columns].flatten(1)[:, read.start : read.end]


def check_finite(logits: Tensor) -> None:
    if not torch.isfinite(logits).all():
        raise TamingError(
            "The transformer's logits are not finite numbers. Its weights are damaged, or it overflows in "
            f"{logits.dtype}; load it in float32."
        )
