"""What changes with the step: learning rate, the discriminator's part, the Gumbel temperature."""

import math
from dataclasses import dataclass
from typing import Literal

from ..errors import ConfigError

LearningRateKind = Literal["cosine", "constant"]


def learning_rate(
    step: int,
    num_steps: int,
    *,
    peak: float,
    final: float = 0.0,
    warmup_steps: int = 0,
    kind: LearningRateKind = "cosine",
) -> float:
    """The learning rate of `step`, counted from 0: a linear warm-up to `peak`, then a cosine to `final`, or constant.

    The reference's is constant without a warm-up.
    """
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    if kind == "constant":
        return peak
    progress = (step - warmup_steps) / max(1, num_steps - warmup_steps)
    return final + (peak - final) * 0.5 * (1 + math.cos(math.pi * progress))


@dataclass(frozen=True)
class AdversarialSchedule:
    """When the discriminator learns, and when it is listened to.

    A discriminator that has learned nothing yet, listened to at once and at full weight, is what ruins
    reconstructions at `disc_start` (CompVis/taming-transformers issues 44, 93). The reference does both: `ramp=0` and
    no `discriminator_from`.
    """

    start: int = 0  # step from which the decoder listens to it
    ramp: int = 0  # steps over which its weight then grows from nothing to all; 0: at once
    discriminator_from: int | None = None  # step from which it learns, `start` or before; None: from `start`

    def __post_init__(self) -> None:
        if self.discriminator_from is not None and self.discriminator_from > self.start:
            raise ConfigError(
                f"discriminator_from {self.discriminator_from} is after start {self.start}: the decoder would listen "
                "to a discriminator that has learned nothing. Let it learn from start or before."
            )

    def weight(self, step: int) -> float:
        """Its share of the weight that it ends with, in [0, 1]."""
        return min(1.0, max(0, step - self.start + 1) / (self.ramp + 1))

    def trains_discriminator(self, step: int) -> bool:
        first = self.start if self.discriminator_from is None else self.discriminator_from
        return step >= first


@dataclass(frozen=True)
class GumbelTemperature:
    """A linear warm-up from `start` to `peak`, then a cosine to `final`, where it stays.

    The numbers of the reference's `LambdaWarmUpCosineScheduler`, whose arguments are lr_start, lr_max, lr_min,
    warm_up_steps and max_decay_steps.
    """

    start: float = 1.0
    peak: float = 1.0
    final: float = 1 / 16  # as DALL-E's (Ramesh et al. 2021, arXiv:2102.12092, appendix A.2)
    warmup_steps: int = 0
    decay_steps: int = 150_000  # step at which `final` is reached, the warm-up included

    def __post_init__(self) -> None:
        if min(self.start, self.peak, self.final) <= 0:
            raise ConfigError(
                f"a Gumbel temperature is more than 0, found start {self.start}, peak {self.peak}, final {self.final}."
            )
        if self.decay_steps <= self.warmup_steps:
            raise ConfigError(
                f"decay_steps {self.decay_steps} is not after the {self.warmup_steps} warmup_steps, which it includes."
            )

    def at(self, step: int) -> float:
        """The temperature of `step`, counted from 0."""
        if step < self.warmup_steps:
            return (self.peak - self.start) / self.warmup_steps * step + self.start
        progress = min((step - self.warmup_steps) / (self.decay_steps - self.warmup_steps), 1.0)
        return self.final + 0.5 * (self.peak - self.final) * (1 + math.cos(progress * math.pi))
