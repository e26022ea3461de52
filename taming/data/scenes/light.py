"""The colors of a scene: what a place is painted in by daylight, and what season, time and weather make of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .canvas import mix
from .composition import Composition
from .stage import Palette

Color = np.ndarray  # (3,) float32 in 0..255


def rgb(code: str) -> Color:
    """The color of six hexadecimal digits."""
    return np.array(list(bytes.fromhex(code)), np.float32)


PAINTS: Mapping[str, Color] = {
    "red": rgb("dc3530"),
    "orange": rgb("f28424"),
    "yellow": rgb("f8cc2c"),
    "green": rgb("3fa04c"),
    "blue": rgb("2f74cc"),
    "purple": rgb("8a4cc0"),
    "pink": rgb("f478b0"),
    "white": rgb("f8f4ec"),
}
WHITE, SNOW = PAINTS["white"], rgb("f2f6fd")

# far, near, ground, foliage and water of a place, by daylight in summer
_LAND: Mapping[str, str] = {
    "mountains": "8ba3c7 5b9a55 7fb84e 2c6b3f 4aa3c8",
    "forest": "9dc0b4 3c7f5e 5a8e4a 1d5e3c 5aa4b0",
    "lake": "8aa8c0 4c8f5a 74b050 2a6b40 3a94c8",
    "sea": "7a9ac0 5a8a90 c9a878 2e6a48 2484c4",
    "beach": "5fae98 3a8c5a f4e0a8 229048 1eb0c4",
    "desert": "eec088 d8944e eab66a 5a8a4a 5ab0c0",
    "canyon": "e0a080 c45c38 d8844e 6a8a4a 3a9eb0",
    "volcano": "8c6c6c 5c4a4c 5c4c48 3a5040 586c80",
    "meadow": "98b8b0 66aa60 8cc850 3a8c44 56a8d0",
    "field": "98b8b0 66a45c 78b448 3a8c44 56a8d0",
    "city": "9cb0d0 66789c 868e98 3c8050 4c90c4",
    "village": "98b8b8 60a462 88c054 34783f 54a4cc",
}
# what a season mixes into each of them, and how much
_SEASONS: Mapping[str, tuple[str, tuple[float, ...]]] = {
    "spring": ("a8d0a0 8ccc60 a4dc5c 58b048 5ab4d8", (0.3, 0.4, 0.5, 0.35, 0.2)),
    "summer": ("000000 000000 000000 000000 000000", (0.0, 0.0, 0.0, 0.0, 0.0)),
    "autumn": ("c8a48c b87c3c cc9838 c06420 6a98b0", (0.6, 0.75, 0.8, 0.55, 0.3)),
    "winter": ("c4d2e8 dce6f4 f0f5fc 2c5a50 a8c8e4", (0.6, 0.9, 0.95, 0.6, 0.55)),
}
# zenith, horizon and glow of a sky by its color
_SKIES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "dawn": {
        "pink": ("7aa4d8 ffc4cc ffeef0", "9a9cd8 ffb8c8 fff0e4"),
        "purple": ("6a74c0 e0b4e4 fff0f4", "8474c4 f0c0d8 fff0f0"),
        "yellow": ("78b4dc ffe6a8 fffbe4", "84b0cc fcdca0 fff8dc"),
    },
    "day": {"blue": ("2878d8 c4e8fc fffbe0", "3a94e4 d4f0f8 fff8d8", "2468c4 b4dcf6 fff8d8")},
    "sunset": {
        "orange": ("3a3478 ff9444 fff0a8", "5a5494 ffac50 ffeca0"),
        "pink": ("503c90 ff78a0 fff0c8", "6a4a9c ff94a4 ffecc4"),
        "purple": ("2c1c64 c060c8 ffe0c0", "402878 d878bc ffe4b8"),
        "red": ("481a40 f04c30 ffd888", "3a1c48 e85838 ffd080"),
        "yellow": ("5c7cac ffcc50 fffbd0", "6c80a4 fcd468 fff8c8"),
    },
    "night": {
        "blue": ("060c30 24408c f8f2dc", "0a1440 2c4c94 f4f0e0"),
        "purple": ("140c40 6c3484 f8ecd8", "1c1048 58307c f8f0e0"),
        "green": ("04181c 145c5c f0f4e0", "061c28 1c6458 f4f4dc"),
    },
}


@dataclass(frozen=True)
class Light:
    """What the time of day makes of a color: it is multiplied by `tint`, then mixed with the air."""

    tint: Color  # 1 leaves a channel as it is
    air: Color
    amount: float

    def on(self, color: Color) -> Color:
        """`color`, (3,) or (3, h, w), in this light."""
        tint, air = (values.reshape(3, *[1] * (color.ndim - 1)) for values in (self.tint, self.air))
        return (color * tint + (air - color * tint) * self.amount).astype(np.float32)


_TINTS: Mapping[str, tuple[tuple[float, float, float], float]] = {
    "dawn": ((0.98, 0.90, 0.92), 0.12),
    "day": ((1.0, 1.0, 1.0), 0.0),
    "sunset": ((0.86, 0.66, 0.62), 0.14),
    "night": ((0.38, 0.44, 0.64), 0.12),
}


def light_of(composition: Composition, palette_sky: tuple[Color, Color]) -> Light:
    """The light of a scene whose sky goes from the first of `palette_sky`, the zenith, to the second."""
    tint, amount = _TINTS[composition.time]
    dim = {"cloudy": 0.93, "rainy": 0.8, "foggy": 0.95, "snowfall": 0.93}.get(composition.weather, 1.0)
    air = mix(palette_sky[0], palette_sky[1], 0.6)
    return Light(np.array(tint, np.float32) * dim, air, amount)


def make_palette(composition: Composition, rng: np.random.Generator) -> tuple[Palette, Light]:
    """The palette of a scene, slightly different each time, and the light that its things stand in."""
    moods = _SKIES[composition.time][composition.sky_color]
    zenith, horizon, glow = _vary(rng, moods[int(rng.integers(len(moods)))])
    zenith, horizon = (_weathered(color, composition) for color in (zenith, horizon))
    light = light_of(composition, (zenith, horizon))
    land = _vary(rng, _LAND[composition.place])
    mixed, amounts = _SEASONS[composition.season]
    seasonal = [mix(a, rgb(b), amount) for a, b, amount in zip(land, mixed.split(), amounts, strict=True)]
    far, near, ground, foliage, water = (light.on(color) for color in seasonal)
    water = mix(water, mix(zenith, horizon, 0.5), 0.35 if composition.time != "day" else 0.1)
    return Palette(zenith, horizon, mix(far, horizon, 0.25), near, ground, foliage, water, glow), light


def _weathered(sky: Color, composition: Composition) -> Color:
    """The sky's color grayed by what hangs in it."""
    gray = np.full(3, float(sky @ (0.3, 0.59, 0.11)), np.float32)
    is_dark = composition.time == "night"
    match composition.weather:
        case "cloudy":
            return mix(sky, gray * 0.97 + 4, 0.3)
        case "foggy":
            return mix(sky, gray * 0.8 + (22 if is_dark else 50), 0.72)
        case "rainy":
            return mix(sky, gray * 0.78, 0.6)
        case "snowfall":
            return mix(sky, gray * 0.85 + (18 if is_dark else 40), 0.6)
    return sky


def _vary(rng: np.random.Generator, codes: str) -> list[Color]:
    colors = np.stack([rgb(code) for code in codes.split()])  # (colors, 3)
    colors += rng.normal(0.0, 5.0, colors.shape) + rng.normal(0.0, 4.0, (len(colors), 1))
    return list(np.clip(colors, 0.0, 255.0).astype(np.float32))
