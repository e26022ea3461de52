"""What conditions and the sampler ask of a model, whatever its network."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from ..configs.sampling import SamplingOptions
from ..modules.kv_cache import KVCache
from ..modules.quantizers import Quantized
from .kinds import ConditionConfig


class TokenModelConfig(Protocol):
    """What a model is, and was trained on."""

    @property
    def vocab_size(self) -> int:
        """Codes that it predicts."""
        ...

    @property
    def block_size(self) -> int:
        """Longest sequence that it reads, condition included."""
        ...

    @property
    def n_embd(self) -> int:
        """Width of its layers."""
        ...

    @property
    def n_unmasked(self) -> int:
        """Leading tokens that see each other in both directions."""
        ...

    @property
    def context_dim(self) -> int | None:
        """Width of the vectors that it attends to; None for a model without cross-attention."""
        ...

    @property
    def grid(self) -> tuple[int, int]:
        """(h, w) tokens that it was trained on."""
        ...

    @property
    def order(self) -> tuple[int, ...]:
        """Cells of that grid in the order that it reads them; empty for row by row."""
        ...

    @property
    def condition(self) -> ConditionConfig: ...

    @property
    def has_null_condition(self) -> bool:
        """Whether it was trained without its condition too."""
        ...

    @property
    def recommended(self) -> SamplingOptions | None:
        """Settings that it draws best with."""
        ...


class MapEncoder(Protocol):
    """A VQGAN of maps."""

    def encode(self, pixels: Tensor) -> Quantized:
        """Tokens of maps, (B, C, H, W)."""
        ...


class TokenModel(Protocol):
    """A model that continues a sequence of tokens: the condition, then the cells of a grid."""

    @property
    def config(self) -> TokenModelConfig: ...

    @property
    def input_device(self) -> torch.device:
        """Where it takes its tokens."""
        ...

    @property
    def cond_stage(self) -> MapEncoder | None:
        """What makes tokens of its maps, if it reads maps."""
        ...

    def decode(self, indices: Tensor, cache: KVCache, context: Tensor | None = None, last: int = 1) -> Tensor:
        """Logits after the `last` of the tokens `indices`, (B, T) -> (B, last, V), which join `cache`."""
        ...

    def new_cache(self, capacity: int) -> KVCache:
        """An empty cache for a sequence of up to `capacity` tokens."""
        ...

    def cache_bytes(self, batch: int, length: int, dtype: torch.dtype) -> int:
        """Memory of the caches of `batch` sequences of `length` tokens."""
        ...
