"""The colors of each scene class: two moods between which every scene finds its own."""

from dataclasses import fields

import numpy as np

from .stage import Palette

_MOODS: dict[str, tuple[str, str]] = {
    # zenith horizon far near ground foliage water glow
    "alpine": (
        "2f77d0 c8e6fa 8ba3c7 5b9a55 7fb84e 2c6b3f 4aa3c8 fff6d8",
        "4a8fdc e6eef4 9aa5bd 4c8650 94b552 1f5a44 58b0c0 fff0cc",
    ),
    "sunset_sea": (
        "3a2a6e ff9a50 8a5478 4a2c52 c79a70 2e2038 7a4c78 fff0b0",
        "5a5a94 ffb45e b0686a 6a3c50 c79a70 2e2038 b06c60 ffe89a",
    ),
    "desert": (
        "4a98de f8e6c0 eec088 d8944e eab66a 6a8a4a 5ab0c0 fff8dc",
        "78a8d8 fbdcae e2a070 c47842 dd9c58 6a8a4a 5ab0c0 fff0c0",
    ),
    "pine_forest": (
        "8cbcc4 e4efe6 9dbdb8 3c6f5e 4a7a50 1d4a3c 6aa0a0 fffbe8",
        "a8c4b4 f2ecd4 a9bda2 4c7450 5c7c46 24482c 6aa0a0 fff4d0",
    ),
    "night": (
        "070b2a 2e3c78 232c5c 10183c 0e1a2a 091420 1a2858 f4f0dc",
        "0a1030 3c3a7c 2a2a62 161440 121a30 0a1024 202460 f8ecd0",
    ),
    "winter": (
        "8fb0da eaf0f8 b4c6e0 dce6f4 f0f4fb 3a5c5c a8c4dc fffaf0",
        "b0b4da f8e8ec c8c8e2 e4e2f2 f6f2fa 42585e b4c0dc fff0e0",
    ),
    "aurora": (
        "050f28 17435a 1c2e4c 22405c 8ea8c8 0c1e2c 1a3c54 4cf0a0",
        "0a0a2c 243c66 24284e 2c3860 9c9ccc 0e1830 242c58 5ae8c0",
    ),
    "beach": (
        "2488dc bdeaf8 5fae98 3a8c5a f4e2ac 228a44 22a8bc fffbe0",
        "3a9ae4 d8f2f0 74b0a8 4c9658 f0d69c 2c9238 34bcb8 fff6c8",
    ),
    "city_night": (
        "10103c 7a3c80 4a3a72 231f48 16162c 101024 2a2254 ffd27a",
        "0c1838 a0506a 4c4068 28223e 1a1626 101024 302448 ffc060",
    ),
    "autumn": (
        "5a98d4 f6e8d0 c8a088 b07840 c89438 d86a20 6a9ab0 fff4d4",
        "84aac8 fadfbe b89078 a06a3c b8822e cc4a24 6a9ab0 ffe8b4",
    ),
    "volcano": (
        "2c1838 e85c38 6e3a4a 3a2430 30222c 201820 6a3038 ffb43c",
        "40203a f08040 7a4440 40282a 362426 241a1c 703830 ffc850",
    ),
    "canyon": (
        "3a8edc f4e2cc e0a484 c0603a d4824e 6e8a4a 4a9aa0 fff6dc",
        "5a9cd8 fad8b8 d48e74 a84e34 c87444 7a8648 5aa09c ffeccc",
    ),
}


def blend_palette(name: str, rng: np.random.Generator) -> Palette:
    """The palette of one scene of class `name`: a point between the class's moods, slightly off."""
    first, second = (_parse(mood) for mood in _MOODS[name])
    colors = first + (second - first) * rng.random(dtype=np.float32)
    colors += rng.normal(0.0, 5.0, colors.shape) + rng.normal(0.0, 5.0, (len(colors), 1))
    return Palette(*np.clip(colors, 0.0, 255.0).astype(np.float32))


def _parse(mood: str) -> np.ndarray:
    colors = np.array([list(bytes.fromhex(color)) for color in mood.split()], np.float32)  # (colors, 3)
    assert len(colors) == len(fields(Palette))
    return colors


SCENE_CLASSES: tuple[str, ...] = tuple(_MOODS)
