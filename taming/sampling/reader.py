"""Reading a grid through the window of a transformer: the logits of a cell, from what stands before it."""

from __future__ import annotations

import torch
from torch import Tensor

from ..conditioning import Condition, Window
from ..errors import ConditionError, TamingError, TokensError
from .windows import window_at


class WindowReader:
    """The state of one sampling call: the keys and values of what was read, good for as long as the window stands."""

    def __init__(self, condition: Condition, grid: tuple[int, int], guidance_scale: float) -> None:
        self.condition = condition
        self.transformer = condition.transformer
        self.grid = grid
        self.guidance_scale = guidance_scale
        self.prefixes = [condition.prefix]
        self.context = condition.context
        if guidance_scale != 1.0:
            if condition.null_prefix is None:
                raise ConditionError(
                    f"guidance_scale is {guidance_scale:g}, but this transformer was not trained with a null condition "
                    "to guide away from. Set guidance_scale to 1."
                )
            self.prefixes.append(condition.null_prefix)
            if self.context is not None:
                null_context = self.context if condition.null_context is None else condition.null_context
                self.context = torch.cat([self.context, null_context])  # (2 * B, S, D)
        self.window: Window | None = None

    def reading_order(self, window: Window) -> list[int]:
        """Numbers of the window's cells in the whole grid, in the order that the transformer reads them in."""
        order = self.transformer.config.order
        if order:
            return list(order)
        rows = range(window.top, window.top + window.height)
        columns = range(window.left, window.left + window.width)
        return [row * self.grid[1] + column for row in rows for column in columns]

    def logits(self, cell: int, tokens: Tensor) -> Tensor:
        """Logits of `cell`, (B, V), where all cells of `tokens`, (B, h * w), that are read before it hold their token.

        Raises:
            ConditionError: the condition does not fit the grid.
            TamingError: the logits are not finite numbers.
        """
        config = self.transformer.config
        window = window_at(cell, self.grid, config.grid, config.condition)
        unread = []  # (copies * B, any) tokens
        is_new = window != self.window
        if is_new:
            unread.append(self._enter(window, tokens.device))
        position = self.positions[cell]
        unread.append(tokens[:, self.cells[self.read : position]].repeat(len(self.prefixes), 1))
        self.read = position
        logits = self.transformer(torch.cat(unread, dim=1), self.context, self.cache, last_only=True)[:, 0]
        if is_new:
            check_finite(logits)
        if len(self.prefixes) == 1:
            return logits
        told, untold = logits.float().chunk(2)
        return untold + self.guidance_scale * (told - untold)

    def _enter(self, window: Window, device: torch.device) -> Tensor:
        """Forget what was read and start at the prefix of `window`, which is returned, (copies * B, S)."""
        order = self.reading_order(window)
        prefix = torch.cat([prefix.at(window) for prefix in self.prefixes]).to(device)
        if self.transformer.config.n_unmasked > prefix.shape[1]:
            raise TokensError(
                f"This transformer sees its first {self.transformer.config.n_unmasked} tokens in both directions, but "
                f"its condition has only {prefix.shape[1]}: it was not trained to draw the others one by one."
            )
        self.window = window
        self.cells = torch.tensor(order, device=device)
        self.positions = {cell: position for position, cell in enumerate(order)}
        self.read = 0
        self.cache = self.transformer.new_cache(prefix.shape[1] + len(order) - 1)  # the last cell is never read
        return prefix


def check_finite(logits: Tensor) -> None:
    if not torch.isfinite(logits).all():
        raise TamingError(
            "The transformer's logits are not finite numbers. Its weights are damaged, or it overflows in "
            f"{logits.dtype}; load it in float32."
        )
