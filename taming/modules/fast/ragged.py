"""Several sequences of unequal lengths in one step of a GPT, their tokens one behind the other, without padding."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn

from ..gpt import GPT, CausalSelfAttention
from ..kv_cache import KVCache, LayerCache


def attach(gpt: nn.Module) -> None:
    """Let `gpt` take the steps of `decode_ragged`."""
    for module in gpt.modules():
        if type(module) is CausalSelfAttention:
            module.__class__ = RaggedSelfAttention


class RaggedSelfAttention(CausalSelfAttention):
    """Self-attention in which every token sees its own sequence only."""

    def attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, cache: LayerCache | None) -> Tensor:
        if not isinstance(cache, _RaggedLayerCache):
            return super().attend(q, k, v, mask, cache)
        parts = (each.split(cache.lengths, dim=2) for each in (q, k, v))
        sequences = zip(*parts, cache.masks, cache.layers, strict=True)
        return torch.cat([super(RaggedSelfAttention, self).attend(*each) for each in sequences], dim=1)


class _RaggedLayerCache(LayerCache):
    """The caches of several sequences in one block, their numbers of new tokens, and the masks of these."""

    def __init__(self, layers: Sequence[LayerCache], lengths: list[int], masks: Sequence[Tensor | None]) -> None:
        super().__init__(layers[0].context)
        self.layers, self.lengths, self.masks = layers, lengths, masks


def decode_ragged(gpt: GPT, parts: Sequence[Tensor], caches: Sequence[KVCache], context: Tensor | None) -> Tensor:
    """Logits after the last token of each of `parts`, (B, T) each -> (B, len(parts), V).

    Each part continues the sequence that its cache holds, and joins it; all attend to the same `context`.
    """
    lengths = [part.shape[1] for part in parts]
    starts = [cache.length for cache in caches]
    x = [gpt.embed(part, start) for part, start in zip(parts, starts, strict=True)]
    spans = zip(starts, lengths, strict=True)
    masks = [gpt.attention_mask(start, length, parts[0].device) for start, length in spans]
    layers = zip(*(cache.extend(each) for cache, each in zip(caches, x, strict=True)), strict=True)
    x = torch.cat(x, dim=1)
    for block, of_sequences in zip(gpt.blocks, layers, strict=True):
        x = block(x, context, None, _RaggedLayerCache(of_sequences, lengths, masks))
    last = [end - 1 for end in accumulate(lengths)]
    return gpt.head(gpt.ln_f(x[:, last]))
