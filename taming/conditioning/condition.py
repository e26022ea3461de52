"""A condition: what one sampling call tells its transformer, with that transformer."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from torch import Tensor

from ..errors import ConditionError
from ..text import shorten
from .prefix import FixedPrefix, Prefix
from .token_model import TokenModel

log = logging.getLogger(__name__)

MAX_BATCH_SIZE = 2**20


@dataclass(frozen=True)
class Condition:
    """Everything the sampler gives a transformer besides the grid."""

    transformer: TokenModel
    prefix: Prefix
    null_prefix: Prefix | None  # the same length, saying nothing; None when the model was not trained for guidance
    context: Tensor | None  # (B, S, D) vectors, for a cross-attention model
    null_context: Tensor | None = None  # likewise, saying nothing; None as with `null_prefix`

    @property
    def batch_size(self) -> int:
        return self.prefix.batch_size

    def expand(self, batch_size: int) -> Condition:
        """The same condition for a batch: one is repeated for every item, labels and prompts take turns.

        Raises:
            ConditionError: several of another kind (maps, boxes, contexts), and not one for each item; or a batch of a
                size that there cannot be.
        """
        if not 1 <= batch_size <= MAX_BATCH_SIZE:
            raise ConditionError(f"batch_size is {shorten(batch_size)}; it must be from 1 to {MAX_BATCH_SIZE}.")
        if self.batch_size == batch_size:
            return self
        if self.batch_size != 1:
            if self.context is not None or not isinstance(self.prefix, FixedPrefix):
                raise ConditionError(
                    f"The condition holds {self.batch_size} items, the batch {batch_size}. "
                    "Give one condition for all of them, or exactly one for each."
                )
            _report_turns(self.batch_size, batch_size)
        return replace(
            self,
            prefix=self.prefix.expand(batch_size),
            null_prefix=None if self.null_prefix is None else self.null_prefix.expand(batch_size),
            context=None if self.context is None else self.context.expand(batch_size, -1, -1),
            null_context=None if self.null_context is None else self.null_context.expand(batch_size, -1, -1),
        )

    def some(self, items: slice) -> Condition:
        """The condition of some items of the batch."""
        return replace(
            self,
            prefix=self.prefix.some(items),
            null_prefix=None if self.null_prefix is None else self.null_prefix.some(items),
            context=None if self.context is None else self.context[items],
            null_context=None if self.null_context is None else self.null_context[items],
        )

    def padded(self, bottom: int, right: int) -> Condition:
        """The same for a grid that was extended by so many cells."""
        null_prefix = None if self.null_prefix is None else self.null_prefix.padded(bottom, right)
        return replace(self, prefix=self.prefix.padded(bottom, right), null_prefix=null_prefix)


def _report_turns(given: int, batch_size: int) -> None:
    if given > batch_size:
        log.warning(
            "%d labels or prompts for a batch of %d: the last %d are not used.", given, batch_size, given - batch_size
        )
    else:
        log.info("%d labels or prompts take turns in a batch of %d.", given, batch_size)
