"""The door to the optional fast paths in `fast/`, and what holds where that folder was deleted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from .gpt import GPT
from .kv_cache import KVCache

try:
    from .fast.autoencoder import attach as accelerate_autoencoder
    from .fast.chunked import CHUNK_ELEMENTS
    from .fast.cuda_graph import capture_step
    from .fast.packed_gpt import pack, quantizes_activations
    from .fast.packed_linear import can_pack
    from .fast.ragged import attach as accelerate_gpt
    from .fast.ragged import decode_ragged
except ModuleNotFoundError:
    CHUNK_ELEMENTS = 2**62  # nothing is cut

    def accelerate_autoencoder(model: nn.Module) -> None:
        pass

    def accelerate_gpt(gpt: nn.Module) -> None:
        pass

    def decode_ragged(gpt: GPT, parts: Sequence[Tensor], caches: Sequence[KVCache], context: Tensor | None) -> Tensor:
        return torch.cat([gpt.decode(*each, context) for each in zip(parts, caches, strict=True)], dim=1)

    def capture_step(gpt: GPT, cache: KVCache, context: Tensor | None) -> Callable[[Tensor], Tensor] | None:
        return None

    def pack(gpt: GPT, format: str) -> None:
        raise AssertionError("`can_pack` says no")

    def quantizes_activations(gpt: GPT) -> bool:
        return False

    def can_pack(format: str) -> bool:
        return False


__all__ = [
    "CHUNK_ELEMENTS",
    "accelerate_autoencoder",
    "accelerate_gpt",
    "can_pack",
    "capture_step",
    "decode_ragged",
    "pack",
    "quantizes_activations",
]
