"""Attention of the transformer: causal over its own tokens, and across to a context.

Attribute names are those of minGPT as the published checkpoints spell them.
"""

from types import ModuleType

import torch.nn.functional as F
from torch import Tensor, nn

from .cache import LayerCache


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
        self.resid_drop = nn.Dropout(resid_pdrop)
        self.num_heads = num_heads
        self.attn_pdrop = attn_pdrop

    def forward(self, x: Tensor, mask: Tensor | None = None, cache: LayerCache | None = None, start: int = 0) -> Tensor:
        """Attend from the T tokens of `x`, (B, T, C), which stand at positions `start` and on.

        `mask`, (T, start + T) bool, says who sees whom. None is plain causal attention, right for a sequence from
        its beginning and for a single new token.
        """
        q = split_heads(self.query(x), self.num_heads)
        k = split_heads(self.key(x), self.num_heads)
        v = split_heads(self.value(x), self.num_heads)
        if cache is not None:
            k, v = cache.append(k, v, start)
        y = F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=mask,
            dropout_p=self.attn_pdrop if self.training else 0.0,
            is_causal=mask is None and x.shape[1] > 1,
        )
        return self.resid_drop(self.proj(merge_heads(y)))


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

    def forward(self, x: Tensor, context: Tensor, cache: LayerCache | None = None) -> Tensor:
        """Attend from `x`, (B, T, C), to `context`, (B, S, D), whose projections the cache keeps for the next step."""
        q = split_heads(self.query(x), self.num_heads)
        if cache is not None and cache.context is not None:
            k, v = cache.context
        else:
            k = split_heads(self.key(context), self.num_heads)
            v = split_heads(self.value(context), self.num_heads)
            if cache is not None:
                cache.context = (k, v)
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=self.attn_pdrop if self.training else 0.0)
        return self.resid_drop(self.proj(merge_heads(y)))


def split_heads(x: Tensor, num_heads: int) -> Tensor:
    batch, length, width = x.shape
    return x.view(batch, length, num_heads, width // num_heads).transpose(1, 2)  # (B, N, T, hs)


def merge_heads(x: Tensor) -> Tensor:
    return x.transpose(1, 2).flatten(2)  # (B, T, C)
