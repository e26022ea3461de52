"""What training minimizes: functions of tensors, one concept per file; tasks put them together."""

from .adversarial import (
    DISCRIMINATOR_LOSSES,
    AdversarialKind,
    GeneratorLoss,
    LeCam,
    adaptive_weight,
    generator_loss,
    hinge_loss,
    r1_penalty,
    realism_loss,
    vanilla_loss,
)
from .entropy import CodeEntropy, entropy_loss
from .feature_peaks import PeakWatch, peak_loss, peak_ratio
from .perceptual import load_lpips
from .reconstruction import Perceptual, Reconstruction, reconstruction_loss
from .token import corrupt_tokens, drop_condition, next_token_logits, next_token_loss, token_loss

__all__ = [
    "DISCRIMINATOR_LOSSES",
    "AdversarialKind",
    "CodeEntropy",
    "GeneratorLoss",
    "LeCam",
    "PeakWatch",
    "Perceptual",
    "Reconstruction",
    "adaptive_weight",
    "corrupt_tokens",
    "drop_condition",
    "entropy_loss",
    "generator_loss",
    "hinge_loss",
    "load_lpips",
    "next_token_logits",
    "next_token_loss",
    "peak_loss",
    "peak_ratio",
    "r1_penalty",
    "realism_loss",
    "reconstruction_loss",
    "token_loss",
    "vanilla_loss",
]
