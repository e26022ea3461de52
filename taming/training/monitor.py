"""What a run's figures say when it goes wrong, in plain words: the sign, and which knob to turn."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

from .recipe import Recipe

WINDOW = 50  # steps that are compared
GROWTH = 10.0  # times that a loss may grow over its best before it counts as diverged
PATIENCE = 200  # steps before growth is looked at: the first ones are steep anyway
LOW_USAGE = 0.1  # share of the codebook below which it counts as collapsed
MAX_ADAPTIVE_WEIGHT = 1e4
HIGH_PEAK = 15.0  # times the mean energy of a feature map in its strongest cell; below 8 where there is no spot
USUAL_PEAKS, MORE_PEAKS = 0.1, 0.3  # loss.peaks as it is where nothing is set, and what gets rid of spots
NOT_FINITE = "Halve optimizer.lr, or train in float32 (precision) if it was another."


class Watch:
    """Looks at the losses of every step for the signs of a run that will not recover."""

    def __init__(self, main_figure: str, is_adversarial: bool = False) -> None:
        self.main_figure, self.is_adversarial = main_figure, is_adversarial
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
            return f"{', '.join(broken)} became NaN or infinite. {NOT_FINITE}"
        self.steps += 1
        self.recent.append(figures[self.main_figure])
        if len(self.recent) < WINDOW:
            return None
        mean = sum(self.recent) / WINDOW
        self.best = min(self.best, mean)
        if self.steps > PATIENCE and mean > GROWTH * self.best:
            further = ", or lower loss.adversarial and start it later" * self.is_adversarial
            return (
                f"{self.main_figure} grew from {self.best:.4g} to {mean:.4g} over the last steps. Halve optimizer.lr "
                f"or raise optimizer.warmup_steps{further}."
            )
        return None


def remark(figures: Mapping[str, float], recipe: Recipe | None = None) -> str | None:
    """What an evaluation's figures warn of, and what of `recipe` to change; None where nothing is unusual."""
    usage = figures.get("usage")
    if usage is not None and usage < LOW_USAGE:
        return f"Only {usage:.0%} of the codebook is in use. {_advise_usage(recipe)}"
    peak = figures.get("peak")
    if peak is not None and peak > HIGH_PEAK:
        penalty = USUAL_PEAKS if recipe is None else recipe.loss.get("peaks", USUAL_PEAKS)
        more = MORE_PEAKS if penalty < MORE_PEAKS else 2 * penalty
        return (
            f"A spot in the decoder's feature maps has {peak:.0f} times their mean energy. If it does not fall, images "
            f"will show a speck: raise loss.peaks to {more:g}, in a new run with init_from."
        )
    weight = figures.get("weight")
    if weight is not None and weight >= MAX_ADAPTIVE_WEIGHT:
        return (
            "The adversarial weight is at its limit. Start it later (loss.adversarial_from), or lower loss.adversarial."
        )
    return None


def _advise_usage(recipe: Recipe | None) -> str:
    """What brings more codes into use than a run of `recipe` has."""
    if recipe is not None and recipe.task == "vqgan_decoder":
        return "This recipe keeps the codebook of first_stage: begin with another one, or train a whole VQGAN."
    always = "a later loss.quantize_from, or fewer codes (model.n_embed), in a new run."
    if recipe is None or not recipe.model:  # a model of one's own
        return f"Use quantizer ema if it is another (it restarts dead codes), {always}"
    if recipe.model.get("quantizer") == "ema":
        return f"Use {always}"
    return f"Use model.quantizer ema, which restarts dead codes, {always}"


def advise_memory(recipe: Recipe) -> str:
    """What takes less memory than a run of `recipe` does."""
    settings = ["precision bfloat16"] * (recipe.precision == "float32") + ["checkpointing"] * (not recipe.checkpointing)
    further = f", or with {' and '.join(settings)}" if settings else ""
    return f"Train a smaller model, or on smaller pictures{further}."
