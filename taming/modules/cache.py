"""Keys and values that a transformer keeps between the steps of one sampling call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class ContextCache:
    """Keys and values of the cross-attended context in one block, the same for all sequences of a call."""

    def __init__(self) -> None:
        self.projected: tuple[Tensor, Tensor] | None = None  # each (B, N, S, hs), projected once per call


class Places(Protocol):
    """Where one block puts the keys and values of new tokens, and finds them with all that came before."""

    def keep(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Add (B, N, T, hs) keys and values; those to attend to, (B, N, any, hs) each."""
        ...


@dataclass(frozen=True)
class NextPlaces:
    """Views of the places of the new tokens, and of all up to there."""

    new_keys: Tensor  # (B, N, T, hs)
    new_values: Tensor
    keys: Tensor  # (B, N, start + T, hs)
    values: Tensor

    def keep(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        self.new_keys.copy_(keys)
        self.new_values.copy_(values)
        return self.keys, self.values


@dataclass(frozen=True)
class IndexedPlace:
    """All places, and on the device which of them the one new token takes: nothing changes from token to token."""

    index: Tensor  # (1,) int64
    keys: Tensor  # (B, N, capacity, hs)
    values: Tensor

    def keep(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        self.keys.index_copy_(2, self.index, keys)
        self.values.index_copy_(2, self.index, values)
        return self.keys, self.values


@dataclass(frozen=True)
class LayerCache:
    """What one block is given of the cache of one sequence, in one call."""

    context: ContextCache
    places: Places | None = None  # None for a sequence that is read whole at once and never gone on with

    def keep(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Add (B, N, T, hs) keys and values; those to attend to, (B, N, any, hs) each."""
        return (keys, values) if self.places is None else self.places.keep(keys, values)


class KVCache:
    """The state of one sequence in a sampling call: created by it, passed down, dropped at its end."""

    def __init__(self, capacity: int, contexts: Sequence[ContextCache]) -> None:
        self.capacity = capacity  # tokens it has room for
        self.length = 0  # tokens it holds
        self._contexts = contexts  # of each layer
        # (layers, 2, B, N, capacity, hs): those of a head lie together, as attention reads them
        self._store: Tensor | None = None

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
            self._store = like.new_zeros(layers, 2, batch, num_heads, self.capacity, head_size)
        new = self._store[:, :, :, :, start : self.length].flatten(0, 1).unbind()
        held = self._store[:, :, :, :, : self.length].flatten(0, 1).unbind()
        return [
            LayerCache(context, NextPlaces(*new[2 * i : 2 * i + 2], *held[2 * i : 2 * i + 2]))
            for i, context in enumerate(self._contexts)
        ]

    @property
    def batch_size(self) -> int:
        """Sequences side by side, of a cache that holds something already."""
        assert self._store is not None
        return self._store.shape[2]

    def at(self, index: Tensor) -> list[LayerCache]:
        """What each layer needs to know of the place `index`, (1,) int64, of a cache that holds something already.

        `length` stays as it is: whoever fills the places in turn counts them.
        """
        assert self._store is not None
        return [
            LayerCache(context, IndexedPlace(index, *layer))
            for context, layer in zip(self._contexts, self._store, strict=True)
        ]


def joined(pieces: Sequence[Tensor]) -> Tensor:
    """(B, T, ...) pieces one behind the other; a single one is not copied."""
    return pieces[0] if len(pieces) == 1 else torch.cat(list(pieces), dim=1)
