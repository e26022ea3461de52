"""What a training node shows while it runs: the loss curve, above what the model can do so far."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from PIL import Image

from ..taming.training.chart import PAPER, loss_chart
from . import host
from .train_losses import LOSS_FILE, read_losses

SHARE = 0.08  # of the time so far that showing pictures may take
FIRST_SECONDS = 2.0  # before the first picture: its cost is not known yet
INTERVAL_SECONDS = 2.0  # between pictures, at least
WIDTH_PX, CHART_PX = 512, 190

Painter = Callable[[int], Image.Image | None]  # given the step, a sheet of what the model makes


class TrainingView:
    """Called after every step: keeps the losses, moves the progress bar, shows pictures, and lets the user cancel."""

    def __init__(self, num_steps: int, figure: str, out: Path, paint: Painter | None) -> None:
        self.done = 0  # steps, earlier runs included
        self._losses: dict[int, float] = {}  # those known of these steps
        self._num_steps, self._figure, self._paint, self._out = num_steps, figure, paint, out
        self._file = None
        self._progress = host.Progress(num_steps)
        self._started = time.monotonic()
        self._due, self._spent, self._last_cost = self._started + FIRST_SECONDS, 0.0, 0.0

    def __call__(self, step: int, figures: dict[str, float]) -> None:
        if self._file is None:
            self._losses = {earlier: loss for earlier, loss in read_losses(self._out).items() if earlier < step}
            self._file = (self._out / LOSS_FILE).open("a", encoding="ascii", buffering=1)
        self.done = step + 1
        self._losses[step] = figures[self._figure]
        self._file.write(f"{step},{figures[self._figure]}\n")
        self._progress.update(step + 1, self._picture(step) if self._is_due(step) else None)

    def close(self) -> None:
        """Close the file of losses."""
        if self._file is not None:
            self._file.close()

    def _is_due(self, step: int) -> bool:
        if not host.wants_previews():
            return False
        if step + 1 == self._num_steps and not self._spent:
            return True
        now = time.monotonic()
        return now >= self._due and self._spent + self._last_cost <= SHARE * (now - self._started)

    def _picture(self, step: int) -> Image.Image:
        start = time.monotonic()
        losses, steps = list(self._losses.values()), list(self._losses)
        chart = loss_chart(losses, self._num_steps, (WIDTH_PX, CHART_PX), self._figure, steps)
        sheet = None if self._paint is None else host.unless_out_of_memory(partial(self._paint, step))
        if sheet is None:
            self._paint = None
        picture = chart if sheet is None else _stacked(chart, sheet)
        end = time.monotonic()
        self._last_cost = end - start
        self._spent += self._last_cost
        self._due = end + INTERVAL_SECONDS
        return picture


def _stacked(above: Image.Image, below: Image.Image) -> Image.Image:
    both = Image.new("RGB", (max(above.width, below.width), above.height + below.height), PAPER)
    both.paste(above, (0, 0))
    both.paste(below, (0, above.height))
    return both
