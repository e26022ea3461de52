"""Random changes of a sample that leave it true: picture, maps, crop and flip are changed together."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ..errors import ConfigError, TamingError
from .sample import Sample

# An augmentation of one's own is any such function; it must draw from the generator only.
Augmentation = Callable[[Sample, np.random.Generator], Sample]

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_GRAY = np.tile(_LUMA, (3, 1))


@dataclass(frozen=True)
class Compose:
    """One after the other."""

    steps: tuple[Augmentation, ...]

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        for step in self.steps:
            sample = step(sample, rng)
        return sample


@dataclass(frozen=True)
class ResizeShorter:
    """Scale to `px` pixels on the shorter side, up or down."""

    px: int

    def __post_init__(self) -> None:
        _check_pixels("ResizeShorter", self.px)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        return _scaled(sample, self.px / min(sample.image.shape[:2]))


@dataclass(frozen=True)
class RandomScale:
    """Scale by a factor between `low` and `high`, each octave as likely as the next."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.high < math.inf:
            raise ConfigError(
                f"RandomScale({self.low}, {self.high}): give two factors above 0, the lower one first; 1 is the size "
                "that the picture has."
            )

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        return _scaled(sample, self.low * (self.high / self.low) ** rng.random())


@dataclass(frozen=True)
class CenterCrop:
    """The middle square of `px` pixels. Raises TamingError for smaller pictures."""

    px: int

    def __post_init__(self) -> None:
        _check_pixels("CenterCrop", self.px)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        height, width = _room(sample, self.px)
        return sample.cropped(width // 2, height // 2, self.px, self.px)


@dataclass(frozen=True)
class RandomCrop:
    """Any square of `px` pixels. Raises TamingError for smaller pictures."""

    px: int

    def __post_init__(self) -> None:
        _check_pixels("RandomCrop", self.px)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        height, width = _room(sample, self.px)
        top, left = (int(rng.integers(room + 1)) for room in (height, width))
        return sample.cropped(left, top, self.px, self.px)


@dataclass(frozen=True)
class Flip:
    """Mirror left to right with probability `p`. Captions that say left or right are not rewritten."""

    p: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.p <= 1:
            raise ConfigError(f"Flip({self.p}): a probability is from 0 (never) to 1 (always).")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        return sample.mirrored() if rng.random() < self.p else sample


@dataclass(frozen=True)
class ColorJitter:
    """Another light: brightness, contrast, saturation and hue, each drawn evenly around no change.

    The first three multiply by 1 - x to 1 + x; the hue turns by up to `hue` of the color circle. Colors are changed
    by one linear map and clipped once, so pixels do not lose levels on the way.
    """

    brightness: float = 0.0  # 0 to 1
    contrast: float = 0.0  # 0 to 1
    saturation: float = 0.0  # 0 to 1
    hue: float = 0.0  # 0 to 0.5

    def __post_init__(self) -> None:
        factors = self.brightness, self.contrast, self.saturation
        if not all(0 <= factor <= 1 for factor in factors) or not 0 <= self.hue <= 0.5:
            raise ConfigError(f"{self}: brightness, contrast and saturation are from 0 to 1, hue from 0 to 0.5.")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        # All four are always drawn, so that one setting does not change what the others do with a seed.
        amounts = rng.uniform(-1.0, 1.0, 4) * (self.brightness, self.contrast, self.saturation, self.hue)
        if not amounts.any():
            return sample
        brightness, contrast, saturation = 1 + amounts[:3]
        pixels = sample.image.astype(np.float32)
        colors = _hue_turn(amounts[3]) @ (_GRAY + saturation * (np.eye(3) - _GRAY)) * brightness
        mean_luma = float((pixels @ _LUMA).mean()) * brightness
        pixels = pixels @ (contrast * colors).T.astype(np.float32) + (1 - contrast) * mean_luma
        return replace(sample, image=np.clip(pixels + 0.5, 0, 255).astype(np.uint8))


def _hue_turn(turns: float) -> np.ndarray:
    """The (3, 3) map that turns colors about the gray axis and keeps their luma."""
    to_yiq = np.array([_LUMA, [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]], np.float64)
    cosine, sine = math.cos(2 * math.pi * turns), math.sin(2 * math.pi * turns)
    turn = np.array([[1.0, 0.0, 0.0], [0.0, cosine, -sine], [0.0, sine, cosine]])
    return np.linalg.inv(to_yiq) @ turn @ to_yiq


def _scaled(sample: Sample, factor: float) -> Sample:
    height, width = (max(1, round(side * factor)) for side in sample.image.shape[:2])
    return sample.resized(width, height)


def _room(sample: Sample, px: int) -> tuple[int, int]:
    """Rows and columns that a square of `px` pixels leaves over."""
    height, width = sample.image.shape[:2]
    if min(height, width) < px:
        raise TamingError(
            f"A picture of {width}x{height} px has no square of {px} px. Put ResizeShorter({px}) or more before the "
            "crop, or crop less."
        )
    return height - px, width - px


def _check_pixels(name: str, px: int) -> None:
    if px < 1:
        raise ConfigError(f"{name}({px}): give 1 pixel or more.")
