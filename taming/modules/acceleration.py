"""The door to the optional fast paths in `fast/`, and what holds where there is none or that folder was deleted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from .gpt import GPT
from .kv_cache import KVCache

try:
    from .fast.autoencoder import attach as accelerate_autoencoder
    from .fast.chunked import CHUNK_ELEMENTS
    from .fast.cuda_graph import capture_step as capture_gpt_step
    from .fast.packed_gpt import pack, quantizes_gpt_activations
    from .fast.packed_linear import can_pack
    from .fast.ragged import attach as accelerate_gpt
    from .fast.ragged import decode_ragged as decode_gpt_ragged
except ModuleNotFoundError:
    CHUNK_ELEMENTS = 2**62  # nothing is cut

    def accelerate_autoencoder(model: nn.Module) -> None:
        pass

    def accelerate_gpt(gpt: nn.Module) -> None:
        pass

    def capture_gpt_step(gpt: GPT, cache: KVCache, context: Tensor | None) -> Callable[[Tensor], Tensor] | None:
        return None

    def decode_gpt_ragged(
        gpt: GPT, parts: Sequence[Tensor], caches: Sequence[KVCache], context: Tensor | None
    ) -> Tensor:
        return decode_each(gpt, parts, caches, context)

    def pack(gpt: GPT, format: str) -> None:
        raise AssertionError("`can_pack` says no")

    def quantizes_gpt_activations(gpt: GPT) -> bool:
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


class DecodingModel(Protocol):
    """A model that continues sequences."""

    def decode(self, indices: Tensor, cache: KVCache, context: Tensor | None = None, last: int = 1) -> Tensor:
        """Logits after the `last` of the tokens `indices`, (B, T) -> (B, last, V), which join `cache`."""
        ...


def capture_step(model: DecodingModel, cache: KVCache, context: Tensor | None) -> Callable[[Tensor], Tensor] | None:
    """A way to decode one token at a time over the rest of `cache`, (B, 1) -> (B, 1, V), if there is a faster one."""
    return capture_gpt_step(model, cache, context) if isinstance(model, GPT) else None


def decode_ragged(
    model: DecodingModel, parts: Sequence[Tensor], caches: Sequence[KVCache], context: Tensor | None
) -> Tensor:
    """Logits after the last token of each of `parts`, (B, T) each with its own cache -> (B, len(parts), V)."""
    if isinstance(model, GPT):
        return decode_gpt_ragged(model, parts, caches, context)
    return decode_each(model, parts, caches, context)


def decode_each(
    model: DecodingModel, parts: Sequence[Tensor], caches: Sequence[KVCache], context: Tensor | None
) -> Tensor:
    return torch.cat([model.decode(part, cache, context) for part, cache in zip(parts, caches, strict=True)], dim=1)


def quantizes_activations(model: DecodingModel) -> bool:
    """Whether the layers of `model` round what they multiply, which magnifies float noise."""
    return isinstance(model, GPT) and quantizes_gpt_activations(model)
