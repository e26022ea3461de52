"""Keys and values that a transformer keeps between the steps of one sampling call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


class ContextCache:
    """Keys and values of the cross-attended context in one block, the same for all sequences of a call."""

    def __init__(self) -> None:
        self.projected: tuple[Tensor, Tensor] | None = None  # each (B, N, S, hs), projected once per call


@dataclass(frozen=True)
class Places:
    """Where one block puts the keys and values of new tokens, and finds them with all that came before."""

    new_keys: Tensor  # (B, T, N, hs)
    new_values: Tensor
    keys: Tensor  # (B, N, start + T, hs)
    values: Tensor


@dataclass(frozen=True)
class LayerCache:
    """What one block is given of the cache of one sequence, in one call."""

    context: ContextCache
    places: Places | None = None  # None for a sequence that is read whole at once and never gone on with

    def keep(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Add (B, T, N, hs) keys and values; all up to there, (B, N, start + T, hs) each."""
        if self.places is None:
            return keys.transpose(1, 2), values.transpose(1, 2)
        self.places.new_keys.copy_(keys)
        self.places.new_values.copy_(values)
        return self.places.keys, self.places.values


class KVCache:
    """The state of one sequence in a sampling call: created by it, passed down, dropped at its end."""

    def __init__(self, capacity: int, contexts: Sequence[ContextCache]) -> None:
        self.capacity = capacity  # tokens it has room for
        self.length = 0  # tokens it holds
        self._contexts = contexts  # of each layer
        self._store: Tensor | None = None  # (layers, 2, B, capacity, N, hs)

    def another(self, capacity: int) -> KVCache:
        """An empty cache for another sequence of the same call, which attends to the same context."""
        return KVCache(capacity, self._contexts)

    def extend(self, like: Tensor, num_heads: int) -> list[LayerCache]:
        """Make room for the tokens of `like`, (B, T, C); what each layer needs to know.

        Memory is taken in the first call, for the whole capacity, in the dtype and on the device of `like`. Views of
        all layers are made together: for a single token, views would cost more than what is done with them.
        """
        batch, length, width = like.shape
        start, self.length = self.length, self.length + length
        if length == self.capacity:
            return [LayerCache(context) for context in self._contexts]
        if self._store is None:
            layers, head_size = len(self._contexts), width // num_heads
            self._store = like.new_empty(layers, 2, batch, self.capacity, num_heads, head_size)
        new = self._store[:, :, :, start : self.length].flatten(0, 1).unbind()
        held = self._store[:, :, :, : self.length].transpose(3, 4).flatten(0, 1).unbind()
        return [
            LayerCache(context, Places(*new[2 * i : 2 * i + 2], *held[2 * i : 2 * i + 2]))
            for i, context in enumerate(self._contexts)
        ]


def joined(pieces: Sequence[Tensor]) -> Tensor:
    """(B, T, ...) pieces one behind the other; a single one is not copied."""
    return pieces[0] if len(pieces) == 1 else torch.cat(list(pieces), dim=1)
