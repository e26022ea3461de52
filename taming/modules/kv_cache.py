"""Keys and values that a transformer keeps between the steps of one sampling call."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor


class ContextCache:
    """Keys and values of the cross-attended context in one block, the same for all sequences of a call."""

    def __init__(self) -> None:
        self.projected: tuple[Tensor, Tensor] | None = None  # each (B, N, S, hs), projected once per call


class LayerCache:
    """What one block sees of the cache during one call.

    Args:
        context: of this block.
        slots: views of the store, (B, N, T, hs) each: where the new keys and values go. None for a sequence that is
            read whole at once: nothing is stored.
        stored: views of all keys and values up to there, (B, N, S, hs) each.
    """

    def __init__(self, context: ContextCache, slots: Sequence[Tensor] = (), stored: Sequence[Tensor] = ()) -> None:
        self.context = context
        self._slots, self._stored = slots, stored

    def update(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Store new keys and values, (B, N, T, hs); returns those to attend to, (B, N, S, hs)."""
        if not self._slots:
            return k, v
        self._slots[0].copy_(k)
        self._slots[1].copy_(v)
        return self._stored[0], self._stored[1]


class KVCache:
    """The state of one sequence in a sampling call: created by it, passed down, dropped at its end.

    Args:
        num_heads: of every layer.
        capacity: tokens that it has room for.
        contexts: one for each layer.
    """

    def __init__(self, num_heads: int, capacity: int, contexts: Sequence[ContextCache]) -> None:
        self.num_heads, self.capacity, self.contexts = num_heads, capacity, contexts
        self.length = 0  # tokens that it holds
        # (layers, 2, B, N, capacity, hs): the positions of a head lie together, as attention reads them
        self.store: Tensor | None = None

    def new(self, capacity: int) -> KVCache:
        """An empty cache for another sequence of the same call, which attends to the same context."""
        return KVCache(self.num_heads, capacity, self.contexts)

    def truncate(self, length: int) -> None:
        """Forget all tokens but the first `length`."""
        self.length = length

    def extend(self, x: Tensor) -> list[LayerCache]:
        """Make room for the tokens of `x`, (B, T, C); what each layer needs.

        Memory is taken in the first call, for the whole capacity, in the dtype and on the device of `x`. Views of all
        layers are made together: for a single token, views would cost more than what is done with them.
        """
        batch, length, width = x.shape
        start, self.length = self.length, self.length + length
        if length == self.capacity:
            return [LayerCache(context) for context in self.contexts]
        if self.store is None:
            shape = (len(self.contexts), 2, batch, self.num_heads, self.capacity, width // self.num_heads)
            self.store = x.new_zeros(shape)
        slots = self.store[:, :, :, :, start : self.length].flatten(0, 1).unbind()
        stored = self.store[:, :, :, :, : self.length].flatten(0, 1).unbind()
        return [
            LayerCache(context, slots[2 * i : 2 * i + 2], stored[2 * i : 2 * i + 2])
            for i, context in enumerate(self.contexts)
        ]
