"""minGPT as taming-transformers uses it (`taming/modules/transformer/mingpt.py`), in the published keys.

Cross-attention to a context of vectors is an addition.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import ConditionError, TokensError
from .gradient_checkpointing import GradientCheckpointing
from .kv_cache import ContextCache, KVCache, LayerCache


@dataclass(frozen=True)
class GPTConfig:
    """Shape of a GPT; names as in the published `transformer_config`."""

    vocab_size: int
    block_size: int  # longest sequence it reads, condition included
    n_layer: int
    n_head: int
    n_embd: int
    embd_pdrop: float = 0.0
    resid_pdrop: float = 0.0
    attn_pdrop: float = 0.0
    n_unmasked: int = 0  # leading tokens that see each other in both directions
    cond_vocab_size: int = 0  # tokens of the condition that are no codes: they are read but never predicted
    context_dim: int | None = None  # width of the cross-attended context vectors; None = no cross-attention


class GPT(GradientCheckpointing):
    """Predicts each token of a sequence from those before it, and an optional context."""

    def __init__(self, config: GPTConfig, operations: ModuleType = nn) -> None:
        super().__init__()
        self.config = config
        self.tok_emb = operations.Embedding(config.vocab_size + config.cond_vocab_size, config.n_embd)
        self.pos_emb = nn.Parameter(torch.zeros(1, config.block_size, config.n_embd))
        self.drop: nn.Module = nn.Dropout(config.embd_pdrop)
        self.blocks = nn.ModuleList(Block(config, operations) for _ in range(config.n_layer))
        self.ln_f = operations.LayerNorm(config.n_embd)
        self.head = operations.Linear(config.n_embd, config.vocab_size, bias=False)

    def init_weights(self, generator: torch.Generator | None = None) -> None:
        """Start as the published models started: N(0, 0.02) weights, zero biases and positions."""
        nn.init.zeros_(self.pos_emb)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02, generator=generator)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)

    def forward(self, indices: Tensor, context: Tensor | None = None) -> Tensor:
        """Logits of the token after each of `indices`, (B, L) -> (B, L, V).

        `context` is (B, S, D) vectors, for a model built with `context_dim` and only for such a model.
        """
        self._check(indices.shape[1], context)
        x = self.embed(indices)
        mask = self.attention_mask(0, indices.shape[1], x.device)
        for block in self.blocks:
            x = self.run(block, x, context, mask)
        return self.head(self.ln_f(x))

    def decode(self, indices: Tensor, cache: KVCache, context: Tensor | None = None, last: int = 1) -> Tensor:
        """Logits after the `last` of the tokens `indices`, (B, T) -> (B, last, V).

        The tokens continue the sequence that `cache` holds, and join it. Without gradients.
        """
        start = cache.length
        self._check(start + indices.shape[1], context)
        x = self.embed(indices, start)
        mask = self.attention_mask(start, indices.shape[1], x.device)
        for block, layer_cache in zip(self.blocks, cache.extend(x), strict=True):
            x = block(x, context, mask, layer_cache)
        return self.head(self.ln_f(x[:, -last:]))

    def _check(self, length: int, context: Tensor | None) -> None:
        if length > self.config.block_size:
            raise TokensError(
                f"A sequence of {length} tokens was given to a transformer that reads {self.config.block_size} at "
                "most, condition included. Give it a smaller grid."
            )
        if context is None and self.config.context_dim is not None:
            raise ConditionError(
                "This transformer attends to a context of vectors and was given none. "
                "Build its condition with get_condition(transformer, context=...)."
            )
        if context is not None and self.config.context_dim is None:
            raise ConditionError("This transformer has no cross-attention, but a context was given. Leave it out.")

    def embed(self, indices: Tensor, start: int = 0) -> Tensor:
        """Vectors of tokens, (B, T) -> (B, T, C), of which the first is at `start` of its sequence."""
        positions = self.pos_emb[:, start : start + indices.shape[1]]
        x = self.tok_emb(indices)
        return self.drop(x + positions.to(x))

    def attention_mask(self, start: int, length: int, device: torch.device) -> Tensor | None:
        """Who sees whom, (length, start + length) bool, of `length` tokens from `start` on.

        None means plain causal attention, which is right for a sequence from its beginning and for a single token.
        """
        unmasked = self.config.n_unmasked
        if length == 1 or (start == 0 and unmasked <= 1):
            return None
        mask = torch.ones(length, start + length, dtype=torch.bool, device=device).tril(start)
        mask[: max(0, unmasked - start), :unmasked] = True
        return mask

    @property
    def input_device(self) -> torch.device:
        """Where it takes its tokens; a host may keep other weights elsewhere, and sets a `device` of its own."""
        return self.pos_emb.device

    def new_cache(self, capacity: int) -> KVCache:
        """An empty cache for a sequence of up to `capacity` tokens."""
        return KVCache(self.config.n_head, capacity, [ContextCache() for _ in self.blocks])

    def cache_bytes(self, batch: int, length: int, dtype: torch.dtype) -> int:
        """Memory of the caches of `batch` sequences of `length` tokens; guidance doubles the batch."""
        return 2 * self.config.n_layer * batch * length * self.config.n_embd * dtype.itemsize


class Block(nn.Module):
    """One pre-norm transformer block."""

    def __init__(self, config: GPTConfig, operations: ModuleType = nn) -> None:
        super().__init__()
        self.ln1 = operations.LayerNorm(config.n_embd)
        self.attn = CausalSelfAttention(config, operations)
        if config.context_dim is not None:
            self.ln_cross = operations.LayerNorm(config.n_embd)
            self.cross = CrossAttention(config, config.context_dim, operations)
        self.ln2 = operations.LayerNorm(config.n_embd)
        self.mlp = nn.Sequential(
            operations.Linear(config.n_embd, 4 * config.n_embd),
            nn.GELU(),
            operations.Linear(4 * config.n_embd, config.n_embd),
            nn.Dropout(config.resid_pdrop),
        )

    def forward(
        self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None, cache: LayerCache | None = None
    ) -> Tensor:
        x = x + self.attn(self.ln1(x), mask, cache)
        if context is not None:
            x = x + self.cross(self.ln_cross(x), context, cache)
        return x + self.mlp(self.ln2(x))


class CausalSelfAttention(nn.Module):
    """Multi-head self-attention in which a token sees itself and what came before it."""

    def __init__(self, config: GPTConfig, operations: ModuleType = nn) -> None:
        super().__init__()
        width = config.n_embd
        self.key = operations.Linear(width, width)
        self.query = operations.Linear(width, width)
        self.value = operations.Linear(width, width)
        self.proj = operations.Linear(width, width)
        self.resid_drop = nn.Dropout(config.resid_pdrop)
        self.num_heads = config.n_head
        self.attn_pdrop = config.attn_pdrop

    def forward(self, x: Tensor, mask: Tensor | None = None, cache: LayerCache | None = None) -> Tensor:
        """Attend from the tokens of `x`, (B, T, C), to them and to what the cache holds."""
        q, k, v = self.project(x)
        return self.resid_drop(self.proj(self.attend(q, k, v, mask, cache)))

    def project(self, x: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values, (B, N, T, hs) each."""
        return tuple(split_heads(layer(x), self.num_heads) for layer in (self.query, self.key, self.value))

    def attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, cache: LayerCache | None) -> Tensor:
        """The values that the queries q, (B, N, T, hs), attend to: (B, T, C)."""
        if cache is not None:
            k, v = cache.update(k, v)
        dropout = self.attn_pdrop if self.training else 0.0
        is_causal = mask is None and q.shape[2] > 1
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout, is_causal=is_causal)
        return merge_heads(y)


class CrossAttention(nn.Module):
    """Multi-head attention from the tokens to a context of vectors, all of them visible to every token."""

    def __init__(self, config: GPTConfig, context_dim: int, operations: ModuleType = nn) -> None:
        super().__init__()
        width = config.n_embd
        self.key = operations.Linear(context_dim, width)
        self.query = operations.Linear(width, width)
        self.value = operations.Linear(context_dim, width)
        self.proj = operations.Linear(width, width)
        self.resid_drop = nn.Dropout(config.resid_pdrop)
        self.num_heads = config.n_head
        self.attn_pdrop = config.attn_pdrop

    def forward(self, x: Tensor, context: Tensor, cache: LayerCache | None = None) -> Tensor:
        """Attend from `x`, (B, T, C), to `context`, (B, S, D)."""
        return self.resid_drop(self.proj(self.attend(x, context, cache)))

    def attend(self, x: Tensor, context: Tensor, cache: LayerCache | None) -> Tensor:
        """What `x` finds in `context`, (B, T, C); the cache keeps its keys and values for the next step."""
        q = split_heads(self.query(x), self.num_heads)
        if cache is not None and cache.context.projected is not None:
            k, v = cache.context.projected
        else:
            context = context.to(x)
            k, v = (split_heads(layer(context), self.num_heads) for layer in (self.key, self.value))
        if cache is not None:
            cache.context.projected = (k, v)
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=self.attn_pdrop if self.training else 0.0)
        return merge_heads(y)


def split_heads(x: Tensor, num_heads: int) -> Tensor:
    batch, length, width = x.shape
    return x.view(batch, length, num_heads, width // num_heads).transpose(1, 2)  # (B, N, T, hs)


def merge_heads(x: Tensor) -> Tensor:
    batch, heads, length, head_size = x.shape
    if length == 1:
        return x.reshape(batch, 1, heads * head_size)  # no transposition to copy
    return x.transpose(1, 2).flatten(2)  # (B, T, C)
