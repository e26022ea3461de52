"""The autoregressive transformer over codebook indices: a GPT with a condition in front of its tokens, and sampling."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

from torch import Tensor, nn

from ..conditioning import Condition, ConditionConfig, Unconditional
from ..errors import ConfigError
from ..modules.acceleration import accelerate_gpt
from ..modules.gpt import GPT, GPTConfig
from ..sampling import Callback, SamplingOptions, sample_grid
from .vqgan import VQModel


@dataclass(frozen=True)
class TransformerConfig(GPTConfig):
    """A GPT and what it was trained on."""

    grid: tuple[int, int] = (16, 16)  # (h, w) tokens it was trained on
    order: tuple[int, ...] = ()  # cells of that grid in the order that it reads them; empty = row by row
    condition: ConditionConfig = Unconditional()
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


class Transformer(GPT):
    """Predicts each codebook index from those before it, a condition in front, and an optional context."""

    config: TransformerConfig

    def __init__(self, config: TransformerConfig, operations: ModuleType = nn) -> None:
        super().__init__(config, operations)
        self.cond_stage: VQModel | None = None  # makes the tokens of its maps, if it was trained on maps
        if operations is nn:  # a host's layers may hold no weights before loading
            self.init_weights()
        accelerate_gpt(self)

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
