"""What a training node shows while it runs: the loss curve, what to know, and what the model can do so far."""

from __future__ import annotations

import json
import textwrap
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from PIL import Image, ImageDraw, ImageOps

from ...taming.training.loop import LOG_FILE
from ...taming.training.loss_curve import FONT_PX, INK, PAPER, loss_chart
from ...taming.training.monitor import remark
from ...taming.training.recipe import Recipe
from ...taming.viz import write
from .. import host
from .losses import LOSS_FILE, read_losses

SHARE = 0.08  # of the time so far that showing pictures may take
FIRST_SECONDS = 2.0  # before the first picture: its cost is not known yet
INTERVAL_SECONDS = 2.0  # between pictures, at least
WIDTH_PX, CHART_PX = 480, 160
LINE_PX, MARGIN_PX = FONT_PX + 5, 8
LINE_LENGTH = 58  # characters of that font that a line has room for
MAX_HEIGHT_PX = 512  # the host scales the longer side to this, and narrower text cannot be read
WARNING_INK = (180, 70, 0)

Painter = Callable[[int], Image.Image | None]  # given the step, a sheet of what the model makes


class TrainingView:
    """Called after every step: keeps the losses, moves the progress bar, shows pictures, and lets the user cancel."""

    def __init__(
        self, recipe: Recipe, figure: str, out: Path, paint: Painter | None, warnings: Sequence[str] = ()
    ) -> None:
        self.done = 0  # steps, earlier runs included
        self._losses: dict[int, float] = {}  # those known of these steps
        self._recipe, self._num_steps = recipe, recipe.num_steps
        self._figure, self._paint, self._out = figure, paint, out
        self._warnings = warnings  # that hold all along
        self._first: int | None = None  # step of this session
        self._file = None
        self._progress = host.Progress(self._num_steps)
        self._started = time.monotonic()
        self._due, self._spent, self._last_cost = self._started + FIRST_SECONDS, 0.0, 0.0

    def __call__(self, step: int, figures: dict[str, float]) -> None:
        if self._file is None:
            self._losses = {earlier: loss for earlier, loss in read_losses(self._out).items() if earlier < step}
            self._file = (self._out / LOSS_FILE).open("a", encoding="ascii", buffering=1)
        self._first = step if self._first is None else self._first
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
        texts = [_text([self._time_left(step)], INK), _text(self._all_warnings(), WARNING_INK)]
        picture = _stacked([chart, *(text for text in texts if text is not None)], sheet)
        end = time.monotonic()
        self._last_cost = end - start
        self._spent += self._last_cost
        self._due = end + INTERVAL_SECONDS
        return picture

    def _time_left(self, step: int) -> str:
        assert self._first is not None
        taken = step + 1 - self._first
        seconds = (time.monotonic() - self._started) / taken * (self._num_steps - step - 1)
        return f"Step {step + 1} of {self._num_steps}, {in_words(seconds)} left"

    def _all_warnings(self) -> list[str]:
        """Those that hold all along, and that of the last evaluation."""
        warning = remark(_last_row(self._out / LOG_FILE), self._recipe)
        return [*self._warnings, *([warning] if warning else [])]


def in_words(seconds: float) -> str:
    """About how long that is."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute"
    if minutes < 60:
        return f"about {minutes} min"
    return f"about {minutes // 60} h {minutes % 60} min"


def _last_row(file: Path) -> dict[str, float]:
    """The figures of the last evaluation; none before the first."""
    for line in reversed(file.read_text(encoding="ascii").splitlines() if file.is_file() else []):
        try:
            return json.loads(line)
        except ValueError:  # half a line, of a run that was killed
            continue
    return {}


def _text(sentences: Sequence[str], ink: tuple[int, int, int]) -> Image.Image | None:
    """Each sentence on lines of its own, as wide as the curve."""
    lines = [line for sentence in sentences for line in textwrap.wrap(sentence, LINE_LENGTH)]
    if not lines:
        return None
    image = Image.new("RGB", (WIDTH_PX, len(lines) * LINE_PX + MARGIN_PX), PAPER)
    draw = ImageDraw.Draw(image)
    for number, line in enumerate(lines):
        write(draw, (MARGIN_PX, number * LINE_PX + MARGIN_PX // 2), line, ink, FONT_PX)
    return image


def _stacked(parts: Sequence[Image.Image], sheet: Image.Image | None) -> Image.Image:
    """All of `parts` below each other, and below them the sheet, as large as there is room."""
    if sheet is not None:
        room = MAX_HEIGHT_PX - sum(part.height for part in parts)
        parts = [*parts, ImageOps.contain(sheet, (WIDTH_PX, min(room, sheet.height)))]
    whole = Image.new("RGB", (max(part.width for part in parts), sum(part.height for part in parts)), PAPER)
    top = 0
    for part in parts:
        whole.paste(part, (0, top))
        top += part.height
    return whole
