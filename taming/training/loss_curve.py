"""The curve of a run's loss as a picture."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from ..viz import write

PAPER, INK, GRID = (250, 250, 250), (40, 40, 40), (225, 225, 225)
EVERY_STEP, SMOOTHED = (190, 205, 235), (40, 80, 180)
FONT_PX = 16
LEFT_PX, RIGHT_PX, TOP_PX, BOTTOM_PX = 72, 10, 28, 26
WINDOW_SHARE, SHORTEST_WINDOW = 0.02, 10  # share of the steps so far that the smooth line is the mean of; and steps
OUTLIERS = 0.02  # share of the losses, the highest, that may leave the chart: the first steps would flatten the rest


def loss_chart(
    losses: Sequence[float],
    num_steps: int,
    size_px: tuple[int, int],
    name: str = "loss",
    steps: Sequence[int] | None = None,
) -> Image.Image:
    """Draw `losses` of a run of `num_steps`; every one faint, their running mean over it.

    Args:
        size_px: width and height, at least 100 x 60.
        name: what the losses are, for the title.
        steps: of each loss, in their order; by default they begin at 0 and none is missing.
    """
    chart = Image.new("RGB", size_px, PAPER)
    draw = ImageDraw.Draw(chart)
    left, right, top, bottom = LEFT_PX, size_px[0] - RIGHT_PX, TOP_PX, size_px[1] - BOTTOM_PX
    write(draw, (right, bottom + 4), f"{num_steps} steps", INK, FONT_PX, anchor="ra")
    if not losses:
        return chart
    steps = range(len(losses)) if steps is None else steps
    ordered = sorted(losses)
    low, high = ordered[0], ordered[int((len(ordered) - 1) * (1 - OUTLIERS))]
    span = (high - low) or abs(high) or 1.0

    def place(step: int, loss: float) -> tuple[float, float]:
        height = min(1.0, max(0.0, (loss - low) / span))
        return left + (right - left) * step / max(1, num_steps - 1), bottom - (bottom - top) * height

    for share in (0.0, 0.5, 1.0):
        _, y = place(0, low + share * span)
        draw.line([(left, y), (right, y)], GRID)
        write(draw, (left - 4, y), f"{low + share * span:.3g}", INK, FONT_PX, anchor="rm")
    smooth = running_mean(losses, max(SHORTEST_WINDOW, int(len(losses) * WINDOW_SHARE)))
    stride = max(1, len(losses) // (2 * size_px[0]))  # more points than pixels would only take time
    for values, color, width in ((losses, EVERY_STEP, 1), (smooth, SMOOTHED, 2)):
        points = [place(*point) for point in list(zip(steps, values, strict=True))[::stride]]
        draw.line(points if len(points) > 1 else points * 2, color, width)
    write(draw, (left, 4), f"{name} {smooth[-1]:.4g} after {steps[-1] + 1} steps", INK, FONT_PX)
    return chart


def running_mean(values: Sequence[float], window: int) -> list[float]:
    """The mean of each value and those before it, `window` of them at most."""
    means, total = [], 0.0
    for index, value in enumerate(values):
        total += value - (values[index - window] if index >= window else 0.0)
        means.append(total / min(index + 1, window))
    return means
