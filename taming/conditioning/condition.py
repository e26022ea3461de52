"""A condition: what one sampling call tells its transformer, with that transformer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..errors import ConditionError
from .labels import find_labels, known_labels

if TYPE_CHECKING:
    from ..models.transformer import Transformer, TransformerConfig


@dataclass(frozen=True)
class Condition:
    """Everything the sampler gives a transformer besides the grid."""

    transformer: Transformer
    prefix: Tensor  # (B, S) int64 tokens before the grid
    null_prefix: Tensor | None  # the same shape, saying nothing; None when the model was not trained for guidance
    context: Tensor | None  # (B, S, D) vectors, for a cross-attention model

    @property
    def batch_size(self) -> int:
        return self.prefix.shape[0]

    def expand(self, batch_size: int) -> Condition:
        """The same condition for a batch: one is repeated for every item, several must be one per item."""
        if self.batch_size == batch_size:
            return self
        if self.batch_size != 1:
            raise ConditionError(
                f"The condition holds {self.batch_size} items, the batch {batch_size}. "
                "Give one condition for all of them, or exactly one for each."
            )
        return replace(
            self,
            prefix=self.prefix.expand(batch_size, -1),
            null_prefix=None if self.null_prefix is None else self.null_prefix.expand(batch_size, -1),
            context=None if self.context is None else self.context.expand(batch_size, -1, -1),
        )


def get_condition(
    transformer: Transformer,
    label: str | int | Sequence[str | int] | None = None,
    context: Tensor | None = None,
    batch_size: int | None = None,
) -> Condition:
    """Build the condition that `transformer` was trained with.

    Args:
        label: a class name, a number ("3" too), "alpine, beach", or a sequence of them, one per batch item. None is
            unconditional: the start token, or the null label of a class model that was trained with one.
        context: (B, S, D) or (S, D) vectors, for a cross-attention model.
        batch_size: how many items to draw, when label and context do not say; one label or context serves them all.

    Raises:
        ConditionError: the model takes no such condition, or does not know the label.
    """
    config = transformer.config.condition
    prefix = torch.tensor(_prefix_tokens(transformer.config, label), dtype=torch.int64)[:, None]  # (B, 1)
    null_prefix = None if config.null_label is None else torch.full_like(prefix, config.null_label)
    condition = Condition(transformer, prefix, null_prefix, context=None)
    if context is not None or transformer.config.context_dim is not None:
        condition = _with_context(condition, context)
    return condition if batch_size is None else condition.expand(batch_size)


def _prefix_tokens(config: TransformerConfig, label: str | int | Sequence[str | int] | None) -> list[int]:
    condition = config.condition
    if condition.kind == "class":
        if label is not None:
            return find_labels(condition, config.vocab_size, label)
        if condition.null_label is not None:
            return [condition.null_label]
        raise ConditionError(
            f"This transformer draws classes and was given no label. {known_labels(condition, config.vocab_size)}"
        )
    if label is not None:
        raise ConditionError(
            f"The label {label!r} was given to a transformer that was trained without labels. "
            "Leave the label out, or load a class-conditional transformer."
        )
    return [condition.sos_token]


def _with_context(condition: Condition, context: Tensor | None) -> Condition:
    dim = condition.transformer.config.context_dim
    if dim is None:
        raise ConditionError(
            "A context was given to a transformer without cross-attention. Leave the context out, "
            "or load a transformer that was built with context_dim."
        )
    if context is None:
        raise ConditionError(
            f"This transformer attends to a context and was given none. Give it (B, S, {dim}) vectors."
        )
    if context.dim() == 2:
        context = context[None]  # (1, S, D)
    if context.dim() != 3 or context.shape[-1] != dim:
        raise ConditionError(
            f"The context has shape {tuple(context.shape)}; this transformer attends to (B, S, {dim}) vectors."
        )
    if context.shape[0] == 1:
        context = context.expand(condition.batch_size, -1, -1)
    return replace(condition.expand(context.shape[0]), context=context)
