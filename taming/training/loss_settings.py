"""The loss section of a recipe, by what it trains."""

from __future__ import annotations

from dataclasses import dataclass

from .losses import AdversarialKind
from .schedules import GumbelTemperature


@dataclass(frozen=True)
class VQGANLoss:
    """The loss section of a VQGAN's recipe: how much each term counts, and from which step."""

    l1: float = 1.0
    l2: float = 1.0
    codebook: float = 1.0
    perceptual: float = 0.0
    lpips: tuple[str, ...] = ()  # files of LPIPS weights; without any, EfficientNet-Lite0's distance is taken
    adversarial: float = 0.0  # share of the adaptive weight of eq. 7
    adversarial_kind: AdversarialKind = "hinge"
    adversarial_from: int = 0  # step from which the decoder listens to the discriminator,
    adversarial_ramp: int = 0  # and over how many more its weight grows
    discriminator_from: int | None = None  # step from which the discriminator learns; None: with adversarial_from
    r1: float = 0.0
    lecam: float = 0.0
    entropy: float = 0.0
    entropy_temperature: float = 0.01
    peaks: float = 0.1  # of the decoder's feature maps, see losses/feature_peaks.py; 0 allows them
    quantize_from: int = 0  # step; the codebook then starts at the k-means centers of the latents
    restart_below: float = 0.0  # vq, cosine: codes chosen less often in a step, on average, restart; EMA always does
    gumbel: GumbelTemperature | None = None


@dataclass(frozen=True)
class TransformerLoss:
    """The loss section of a transformer's recipe."""

    null_rate: float = 0.1  # share of sequences told no class, prompt or context, so that `guidance_scale` works
    word_dropout: float = 0.3  # share of the words of a prompt that are left out, on the average: prompts may be short
    pkeep: float = 1.0  # share of the tokens that are read as they are; the others are replaced at random
    label_smoothing: float = 0.0
