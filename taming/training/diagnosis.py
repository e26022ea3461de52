"""What a run's figures say when it goes wrong, in plain words: the sign, and which knob to turn."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

WINDOW = 50  # steps that are compared
GROWTH = 10.0  # times that a loss may grow over its best before it counts as diverged
PATIENCE = 200  # steps before growth is looked at: the first ones are steep anyway
LOW_USAGE = 0.1  # share of the codebook below which it counts as collapsed
MAX_ADAPTIVE_WEIGHT = 1e4
HIGH_PEAK = 15.0  # times the mean energy of a feature map in its strongest cell; below 8 where there is no spot
ADVICE = {
    "not finite": "Halve optimizer.lr, or train in float32 (precision) if it was another.",
    "diverged": "Halve optimizer.lr, raise optimizer.warmup_steps, or lower loss.adversarial and start it later.",
    "collapsed": "Use quantizer ema (it restarts dead codes), a later loss.quantize_from, or fewer codes.",
    "peak": "If it does not fall, images will show a speck: raise loss.peaks to 0.3, in a new run with init_from.",
    "adversarial": "Start it later (loss.adversarial_from), or lower loss.adversarial.",
}


class Watch:
    """Looks at the losses of every step for the signs of a run that will not recover."""

    def __init__(self, main_figure: str) -> None:
        self.main_figure = main_figure
        self.recent: deque[float] = deque(maxlen=WINDOW)
        self.best = math.inf
        self.steps = 0

    def state_dict(self) -> dict[str, Any]:
        return {"recent": list(self.recent), "best": self.best, "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.recent = deque(state["recent"], maxlen=WINDOW)
        self.best, self.steps = state["best"], state["steps"]

    def look(self, figures: Mapping[str, float]) -> str | None:
        """What is wrong after a step with these losses; None while nothing is."""
        broken = [name for name, value in figures.items() if not math.isfinite(value)]
        if broken:
            return f"{', '.join(broken)} became NaN or infinite. {ADVICE['not finite']}"
        self.steps += 1
        self.recent.append(figures[self.main_figure])
        if len(self.recent) < WINDOW:
            return None
        mean = sum(self.recent) / WINDOW
        self.best = min(self.best, mean)
        if self.steps > PATIENCE and mean > GROWTH * self.best:
            return (
                f"{self.main_figure} grew from {self.best:.4g} to {mean:.4g} over the last steps. {ADVICE['diverged']}"
            )
        return None


def remark(figures: Mapping[str, float]) -> str | None:
    """What an evaluation's figures warn of; None where nothing is unusual."""
    usage = figures.get("usage")
    if usage is not None and usage < LOW_USAGE:
        return f"Only {usage:.0%} of the codebook is in use. {ADVICE['collapsed']}"
    peak = figures.get("peak")
    if peak is not None and peak > HIGH_PEAK:
        return f"A spot in the decoder's feature maps has {peak:.0f} times their mean energy. {ADVICE['peak']}"
    weight = figures.get("weight")
    if weight is not None and weight >= MAX_ADAPTIVE_WEIGHT:
        return f"The adversarial weight is at its limit. {ADVICE['adversarial']}"
    return None
