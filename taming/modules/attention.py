"""Attention of the transformer: causal over its own tokens, and across to a context.

Attribute names are those of minGPT as the published checkpoints spell them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .cache import ContextCache, LayerCache
from .packed import add_product


@dataclass(frozen=True)
class Span:
    """Tokens that one call reads, and where they stand in their sequence."""

    start: int  # tokens of the sequence that were read before
    length: int
    # (length, start + length) bool, who sees whom. None is plain causal attention, right for a sequence from its
    # beginning and for a single new token.
    mask: Tensor | None = None


class CausalSelfAttention(nn.Module):
    """Multi-head self-attention in which a token sees itself and what came before it."""

    def __init__(
        self, width: int, num_heads: int, attn_pdrop: float = 0.0, resid_pdrop: float = 0.0, operations: ModuleType = nn
    ) -> None:
        super().__init__()
        self.key = operations.Linear(width, width)
        self.query = operations.Linear(width, width)
        self.value = operations.Linear(width, width)
        self.proj = operations.Linear(width, width)
        self.qkv: nn.Module | None = None  # the first three as one, where they are packed
        self.resid_drop = nn.Dropout(resid_pdrop)
        self.num_heads = num_heads
        self.attn_pdrop = attn_pdrop

    def forward(self, x: Tensor, to: Tensor, spans: Sequence[Span], caches: Sequence[LayerCache] = ()) -> Tensor:
        """Attend from the tokens of `x`, (B, T, C), the `spans` one behind the other, each within its own sequence.

        What came before a span is in its cache; without caches every span starts a sequence. What is found is added
        to `to`, (B, T, C).
        """
        q, k, v = self.project(x)
        if len(spans) == 1:
            y = self._attend(q, k, v, spans[0], caches[0] if caches else None)
        else:
            lengths = [span.length for span in spans]
            parts = zip(*(each.split(lengths, dim=2) for each in (q, k, v)), spans, caches, strict=True)
            y = torch.cat([self._attend(*part) for part in parts], dim=2)
        return add_product(self.proj, merge_heads(y), to, self.resid_drop)

    def project(self, x: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values of `x`, (B, T, C), each (B, N, T, hs)."""
        batch, length, width = x.shape
        if self.qkv is not None:
            together = self.qkv(x).view(batch, length, 3, self.num_heads, width // self.num_heads)
            return together.permute(2, 0, 3, 1, 4).unbind()
        return tuple(split_heads(layer(x), self.num_heads) for layer in (self.query, self.key, self.value))

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, span: Span, cache: LayerCache | None) -> Tensor:
        if cache is not None:
            k, v = cache.keep(k, v)
        return F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=span.mask,
            dropout_p=self.attn_pdrop if self.training else 0.0,
            is_causal=span.mask is None and span.length > 1,
        )


class CrossAttention(nn.Module):
    """Multi-head attention from the tokens to a context of vectors, all of them visible to every token."""

    def __init__(
        self,
        width: int,
        context_dim: int,
        num_heads: int,
        attn_pdrop: float = 0.0,
        resid_pdrop: float = 0.0,
        operations: ModuleType = nn,
    ) -> None:
        super().__init__()
        self.key = operations.Linear(context_dim, width)
        self.query = operations.Linear(width, width)
        self.value = operations.Linear(context_dim, width)
        self.proj = operations.Linear(width, width)
        self.resid_drop = nn.Dropout(resid_pdrop)
        self.num_heads = num_heads
        self.attn_pdrop = attn_pdrop

    def forward(self, x: Tensor, to: Tensor, context: Tensor, cache: ContextCache | None = None) -> Tensor:
        """Attend from `x`, (B, T, C), to `context`, (B, S, D), whose projections the cache keeps for the next step.

        What is found is added to `to`, (B, T, C).
        """
        q = split_heads(self.query(x), self.num_heads)
        if cache is not None and cache.projected is not None:
            k, v = cache.projected
        else:
            k = split_heads(self.key(context), self.num_heads)
            v = split_heads(self.value(context), self.num_heads)
            if cache is not None:
                cache.projected = (k, v)
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=self.attn_pdrop if self.training else 0.0)
        return add_product(self.proj, merge_heads(y), to, self.resid_drop)


def split_heads(x: Tensor, num_heads: int) -> Tensor:
    batch, length, width = x.shape
    return x.view(batch, length, num_heads, width // num_heads).transpose(1, 2)  # (B, N, T, hs)


def merge_heads(x: Tensor) -> Tensor:
    batch, heads, length, head_size = x.shape
    if length == 1:
        return x.reshape(batch, 1, heads * head_size)
    return x.transpose(1, 2).flatten(2)  # (B, T, C)
