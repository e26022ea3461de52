"""Keys and values that a transformer keeps between the steps of one sampling call."""

import torch
from torch import Tensor


class LayerCache:
    """What one block keeps: its self-attention keys and values, and those of the cross-attended context."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.context: tuple[Tensor, Tensor] | None = None  # each (B, N, S, hs), projected once per call
        self._keys: Tensor | None = None
        self._values: Tensor | None = None

    def append(self, keys: Tensor, values: Tensor, start: int) -> tuple[Tensor, Tensor]:
        """Write (B, N, T, hs) keys and values at position `start`; returns views of all up to there.

        The buffers are allocated on the first call, for the whole capacity, so that they take the dtype and device
        that the layers compute in, whatever the weights are stored in.
        """
        if self._keys is None or self._values is None:
            batch, heads, _, head_size = keys.shape
            self._keys = keys.new_empty(batch, heads, self.capacity, head_size)
            self._values = torch.empty_like(self._keys)
        length = keys.shape[2]
        self._keys.narrow(2, start, length).copy_(keys)
        self._values.narrow(2, start, length).copy_(values)
        return self._keys.narrow(2, 0, start + length), self._values.narrow(2, 0, start + length)


class KVCache:
    """The state of one sampling call: created by it, passed down, dropped at its end."""

    def __init__(self, num_layers: int, capacity: int) -> None:
        self.capacity = capacity  # tokens it has room for
        self.length = 0  # tokens it holds
        self.layers = [LayerCache(capacity) for _ in range(num_layers)]
