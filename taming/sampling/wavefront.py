"""Sampling a grid larger than the model's, through windows that slide over it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from ..conditioning import Window
from ..configs.sampling import SamplingOptions
from ..modules.acceleration import decode_ragged
from ..modules.kv_cache import KVCache
from .decoder import Decoder, check_finite
from .filters import sample_next
from .grid import TokenGrid
from .schedule import WindowRead
from .seeds import CellNoise


def wavefront_decode(
    decoder: Decoder,
    grid: TokenGrid,
    steps: Iterable[Sequence[WindowRead]],
    options: SamplingOptions,
    noise: CellNoise,
) -> None:
    """Sample the cells of `steps`, those of a step together."""
    windows = WindowCaches(decoder, grid)
    for step in steps:
        cells = [read.cell for read in step]
        grid.write(cells, sample_next(windows.logits(step), options, noise.at(cells)))


class WindowCaches:
    """The keys and values of the windows that later cells go on in."""

    def __init__(self, decoder: Decoder, grid: TokenGrid) -> None:
        self.decoder, self.grid = decoder, grid
        self.caches: dict[Window, KVCache] = {}

    def logits(self, step: Sequence[WindowRead]) -> Tensor:
        """Logits of the cells of `step`, (B, R, V), where what they read has been sampled."""
        unread = [self._unread(read) for read in step]  # (rows, T) each
        caches = [self.caches[read.window] for read in step]
        if len(step) > 1:
            logits = decode_ragged(self.decoder.model, unread, caches, self.decoder.context)
        else:
            logits = self.decoder.decode(unread[0], caches[0])
        for read in step:
            if not read.is_kept:
                del self.caches[read.window]
        if any(read.is_new or not read.is_kept for read in step):  # a NaN on the way stays in the cache
            check_finite(logits)
        return self.decoder.guide(logits)

    def _unread(self, read: WindowRead) -> Tensor:
        """What `read` adds to its window, the condition in front if the window is new, (rows, T)."""
        window = read.window
        rows, columns = slice(window.top, window.top + window.height), slice(window.left, window.left + window.width)
        tokens = self.grid.indices.view(self.grid.shape)[:, rows, columns].flatten(1)[:, read.start : read.end]
        tokens = self.decoder.repeat(tokens)
        if not read.is_new:
            return tokens
        prefix = self.decoder.condition_tokens(window)
        self.caches[window] = self.decoder.new_cache(prefix.shape[1] + read.capacity)
        return torch.cat([prefix, tokens], dim=1)
