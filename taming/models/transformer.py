"""The autoregressive transformer over codebook indices, in the key layout of the published checkpoints.

Architecture: minGPT as CompVis/taming-transformers, taming/modules/transformer/mingpt.py, uses it. Cross-attention to
a context of vectors is an addition.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

import torch
from torch import Tensor, nn

from ..conditioning import Condition, ConditionConfig
from ..errors import ConditionError, ConfigError, TokensError
from ..modules.attention import CausalSelfAttention, CrossAttention, Span
from ..modules.cache import ContextCache, KVCache, LayerCache, joined
from ..modules.checkpointing import Checkpointed
from ..modules.packed import add_product
from ..sampling import Callback, SamplingOptions, sample_grid
from .vqgan import VQModel


@dataclass(frozen=True)
class TransformerConfig:
    """Shape of a transformer; names follow the published `transformer_config` where one exists."""

    vocab_size: int
    block_size: int  # longest sequence it reads, condition included
    n_layer: int
    n_head: int
    n_embd: int
    embd_pdrop: float = 0.0
    resid_pdrop: float = 0.0
    attn_pdrop: float = 0.0
    n_unmasked: int = 0  # leading tokens that see each other in both directions
    cond_vocab_size: int = 0  # tokens of the condition that are no codes: they are read behind those, never predicted
    context_dim: int | None = None  # width of the cross-attended context vectors; None = no cross-attention
    grid: tuple[int, int] = (16, 16)  # (h, w) tokens it was trained on
    order: tuple[int, ...] = ()  # cells of that grid in the order that it reads them; empty = row by row
    condition: ConditionConfig = ConditionConfig()
    recommended: SamplingOptions | None = None  # settings that it draws best with; see `recommended_options`

    def __post_init__(self) -> None:
        if self.n_head < 1 or self.n_embd % self.n_head:
            raise ConfigError(
                f"A transformer of width n_embd={self.n_embd} cannot be split into n_head={self.n_head} equal heads. "
                "Give a number of heads that divides the width."
            )
        if self.order and sorted(self.order) != list(range(self.grid[0] * self.grid[1])):
            raise ConfigError(f"order must name every cell of a grid of {self.grid[0]} x {self.grid[1]} once.")
        if self.recommended is not None and self.recommended.guidance_scale != 1 and not self.has_null_condition:
            raise ConfigError(
                f"recommended.guidance_scale is {self.recommended.guidance_scale:g}, but the model has no null "
                "condition to guide away from. Set it to 1."
            )

    @property
    def has_null_condition(self) -> bool:
        """Whether it was trained without its condition too, so that guidance has something to move away from."""
        return self.condition.null_context or self.condition.null_tokens(self.vocab_size) is not None


class MLP(nn.Sequential):
    """A layer up, an activation, a layer down, dropout, under the keys that a sequence gives them."""

    def forward(self, x: Tensor, to: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """What they make of x, (B, T, C), added to `to`, (B, T, C)."""
        up, activation, down, dropout = self
        return add_product(down, activation(up(x)), to, dropout)


class Block(nn.Module):
    """One pre-norm transformer block."""

    def __init__(self, config: TransformerConfig, operations: ModuleType = nn) -> None:
        super().__init__()
        width, drops = config.n_embd, (config.attn_pdrop, config.resid_pdrop)
        self.ln1 = operations.LayerNorm(width)
        self.attn = CausalSelfAttention(width, config.n_head, *drops, operations=operations)
        if config.context_dim is not None:
            self.ln_cross = operations.LayerNorm(width)
            self.cross = CrossAttention(width, config.context_dim, config.n_head, *drops, operations=operations)
        self.ln2 = operations.LayerNorm(width)
        self.mlp = MLP(
            operations.Linear(width, 4 * width),
            nn.GELU(),
            operations.Linear(4 * width, width),
            nn.Dropout(config.resid_pdrop),
        )

    def forward(self, x: Tensor, context: Tensor | None, spans: Sequence[Span], caches: Sequence[LayerCache]) -> Tensor:
        x = self.attn(self.ln1(x), x, spans, caches)
        if context is not None:
            x = self.cross(self.ln_cross(x), x, context, caches[0].context if caches else None)
        return self.mlp(self.ln2(x), x)


class Transformer(Checkpointed):
    """Predicts each codebook index from those before it, a condition in front, and an optional context."""

    def __init__(self, config: TransformerConfig, operations: ModuleType = nn) -> None:
        super().__init__()
        self.config = config
        self.tok_emb = operations.Embedding(config.vocab_size + config.cond_vocab_size, config.n_embd)
        self.pos_emb = nn.Parameter(torch.zeros(1, config.block_size, config.n_embd))
        self.drop = nn.Dropout(config.embd_pdrop)
        self.blocks = nn.ModuleList(Block(config, operations) for _ in range(config.n_layer))
        self.ln_f = operations.LayerNorm(config.n_embd)
        self.head = operations.Linear(config.n_embd, config.vocab_size, bias=False)
        self.rounds_inputs = False  # whether its layers round what they multiply, which magnifies float noise
        self.cond_stage: VQModel | None = None  # makes the tokens of its maps, where it was trained on maps
        if operations is nn:  # a host's layers may hold no weights before loading
            self.init_weights()

    def init_weights(self, generator: torch.Generator | None = None) -> None:
        """Start as the published models started: N(0, 0.02) weights, zero biases and positions."""
        nn.init.zeros_(self.pos_emb)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02, generator=generator)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)

    def forward(
        self,
        indices: Tensor,
        context: Tensor | None = None,
        cache: KVCache | Sequence[tuple[KVCache, int]] | None = None,
        at: Sequence[int] | None = None,
    ) -> Tensor:
        """Logits of the token after each of `indices`, (B, L) -> (B, L, V).

        Args:
            context: (B, S, D) vectors, for a model built with `context_dim` and only for such a model.
            cache: what earlier calls left, without gradients; `indices` then continue the sequence it holds, and are
                added to it. Several sequences go on in one call, each with its cache and its number of new tokens;
                `indices` are then these tokens, those of one sequence behind those of the one before.
            at: only the logits after these of the new tokens, in rising order, (B, len(at), V): sampling needs few.
        """
        if cache is None or isinstance(cache, KVCache):
            caches, lengths = [] if cache is None else [cache], [indices.shape[1]]
        else:
            caches, lengths = [each for each, _ in cache], [length for _, length in cache]
        starts = [each.length for each in caches] or [0]
        spans = [self._span(*span, indices.device) for span in zip(starts, lengths, strict=True)]
        for span in spans:
            self._check(span.start + span.length, context)
        x = self.tok_emb(indices)  # (B, L, C)
        places = joined([self.pos_emb[:, span.start : span.start + span.length] for span in spans])
        x = self.drop(x + places.to(x))
        parts = x.split(lengths, dim=1) if len(caches) > 1 else [x] * len(caches)
        layers = [each.extend(part, self.config.n_head) for each, part in zip(caches, parts, strict=True)]
        x = self._through_blocks(x, context, spans, layers)
        if at is not None:
            x = joined([x[:, place : place + 1] for place in at])  # (B, len(at), C)
        return self.head(self.ln_f(x))

    def step(self, indices: Tensor, place: Tensor, cache: KVCache, context: Tensor | None = None) -> Tensor:
        """Logits of the token after `indices`, (B, 1) -> (B, 1, V), as `forward` would give them.

        Shapes and addresses are the same for every token, so that a device can run it again as it was recorded: all
        of the cache is attended to, under a mask.

        Args:
            place: (1,) int64, on the device: where in the sequence the token stands.
            cache: what came before; the caller counts its length.
        """
        x = self.tok_emb(indices)  # (B, 1, C)
        x = self.drop(x + self.pos_emb.index_select(1, place).to(x))
        mask = (torch.arange(cache.capacity, device=place.device) <= place).unsqueeze(0)  # (1, capacity)
        x = self._through_blocks(x, context, [Span(0, 1, mask)], [cache.at(place)])
        return self.head(self.ln_f(x))

    def _through_blocks(
        self, x: Tensor, context: Tensor | None, spans: Sequence[Span], layers: Sequence[Sequence[LayerCache]]
    ) -> Tensor:
        """`layers` are the places of each sequence in each layer, where there are caches."""
        context = None if context is None else context.to(x)
        for i, block in enumerate(self.blocks):
            x = self.run(block, x, context, spans, [each[i] for each in layers])
        return x

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

    def _span(self, start: int, length: int, device: torch.device) -> Span:
        """`length` tokens from `start` on, with a mask wherever plain causal attention would not say who sees whom."""
        unmasked = self.config.n_unmasked
        if length == 1 or (start == 0 and unmasked <= 1):
            return Span(start, length)
        mask = torch.ones(length, start + length, dtype=torch.bool, device=device).tril(start)
        mask[: max(0, unmasked - start), :unmasked] = True
        return Span(start, length, mask)

    def new_cache(self, capacity: int) -> KVCache:
        """An empty cache for a sequence of up to `capacity` tokens."""
        return KVCache(capacity, [ContextCache() for _ in range(self.config.n_layer)])

    def cache_bytes(self, batch: int, length: int, dtype: torch.dtype) -> int:
        """Memory that the caches of `batch` sequences of `length` tokens take; guidance doubles the batch.

        A grid larger than the transformer's own takes as much for each of `sampling.generate.windows_at_once`.
        """
        return 2 * self.config.n_layer * batch * length * self.config.n_embd * dtype.itemsize

    def sample(
        self,
        condition: Condition,
        num_steps: int | None = None,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        guidance_scale: float = 1.0,
        seed: int = 0,
        callback: Callback | None = None,
    ) -> Tensor:
        """Draw tokens from nothing but `condition`, one row per condition.

        Returns the whole grid, (B, h, w) int64, or with `num_steps` the first tokens that are drawn, (B, num_steps).
        """
        options = SamplingOptions(temperature, top_k, top_p, min_p, guidance_scale)
        return sample_grid(condition, num_steps, options=options, seed=seed, callback=callback)
