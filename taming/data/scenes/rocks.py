"""Painters of rock landmarks: canyon mesas with their strata, and the volcano."""

import numpy as np

from .canvas import MOUNTAIN, brighten, mix
from .stage import Stage


def paint_mesa(stage: Stage, strata: np.ndarray, x: float, top: float, half: float, nearness: float) -> None:
    """A table mountain with rounded ledges above a scree slope; `strata`, (n, 3), is the rock's color by height."""
    canvas, palette = stage.canvas, stage.palette
    base = stage.horizon + 0.07 + 0.05 * nearness
    rise = base - top
    reach = half + 0.45 * rise + 0.02
    window = canvas.window(x - reach, top - 0.02, x + reach, base)
    fall = np.clip((window.y - top) / rise, 0.0, 1.0)
    shoulder = np.sqrt(np.clip(fall / 0.1, 0.0, 1.0))
    ledges = 0.05 * stage.noise.curve(7, 2)[window.rows, None]
    scree = 0.38 * rise * np.clip((fall - 0.55) / 0.45, 0.0, 1.0) ** 1.4
    outline = half * (0.86 + 0.14 * shoulder) + 0.5 * rise * ledges + scree
    uneven = 0.012 * (stage.noise.curve(4, 2)[None, window.columns] - 0.5)
    off = window.x - x
    coverage = canvas.edge(outline - np.abs(off)) * canvas.edge(window.y - top - uneven)
    tilt = 0.02 * (stage.noise.field()[window.rows, window.columns] - 0.5) + 0.03 * off
    rows = np.clip((window.y + tilt) * canvas.size, 0, canvas.size - 1).astype(np.int32)
    rock = strata.T[:, rows]  # (3, h, w)
    round_shade = np.clip(off / outline, -1.0, 1.0) * stage.light
    gullies = stage.noise.curve(10, 2)[None, window.columns] - 0.5
    rock = brighten(rock, 30.0 * round_shade + 22.0 * gullies * (fall < 1.0))
    rock = mix(rock, palette.near * 0.95, 0.45 * np.clip((fall - 0.6) / 0.4, 0.0, 1.0))
    rock = mix(rock, palette.horizon, 0.5 * (1.0 - nearness))
    canvas.paint(window, coverage, rock, MOUNTAIN, 0.94 - 0.3 * nearness)


def layer_strata(stage: Stage) -> np.ndarray:
    """(n, 3) colors of rock beds by height, soft at their borders."""
    palette = stage.palette
    beds = int(stage.rng.integers(16, 24))
    cream = mix(palette.horizon, palette.far, 0.5)
    tones = np.stack([palette.near, mix(palette.near, palette.far, 0.6), palette.near * 0.8, cream])
    picks = [0]
    while len(picks) < beds:
        picks.append(int(stage.rng.choice([tone for tone in range(len(tones)) if tone != picks[-1]])))
    borders = np.linspace(0.0, 1.0, beds) + stage.rng.uniform(-0.25, 0.25, beds) / beds
    heights = (np.arange(stage.canvas.size) + 0.5) / stage.canvas.size
    channels = [np.interp(heights, borders, tones[picks, channel]) for channel in range(3)]
    return np.stack(channels, axis=1).astype(np.float32)


def paint_volcano(stage: Stage) -> None:
    """A smoking cone with a glowing crater and streams of lava."""
    x = stage.between(0.3, 0.7)
    top = stage.between(0.14, 0.26)
    mouth = stage.between(0.05, 0.08)
    _paint_smoke(stage, x, top)
    _paint_cone(stage, x, top, mouth)
    for _ in range(int(stage.rng.integers(1, 4))):
        _paint_lava(stage, x + stage.between(-0.7, 0.7) * mouth, top)


def _paint_smoke(stage: Stage, x: float, top: float) -> None:
    canvas, palette = stage.canvas, stage.palette
    glow = canvas.window(y1=stage.horizon)
    near = np.hypot(glow.x - x, (glow.y - top) * 1.2)
    canvas.blend(glow, 0.65 * np.exp(-near * 7.0), palette.glow)
    drift = stage.between(-0.5, 0.5)
    ash = mix(palette.zenith, np.array([120.0, 104.0, 108.0], np.float32), stage.between(0.5, 0.9))
    for step in np.linspace(1.0, 0.0, 12):
        radius = 0.035 + 0.11 * step * stage.between(0.7, 1.2)
        px = x + drift * step * (top + 0.1) + 0.03 * stage.between(-1.0, 1.0)
        py = top - step * (top + 0.05)
        window = canvas.window(px - radius, py - radius, px + radius, py + radius)
        distance = np.hypot(window.x - px, window.y - py) / radius
        tone = mix(palette.glow, ash, min(1.0, 0.25 + 2.2 * step))
        shade = 26.0 * np.clip((py - window.y + (window.x - px) * stage.light) / radius, -1.0, 1.0)
        canvas.blend(window, 0.8 * np.clip(2.2 * (1.0 - distance), 0.0, 1.0), brighten(tone, shade))


def _paint_cone(stage: Stage, x: float, top: float, mouth: float) -> None:
    canvas, palette = stage.canvas, stage.palette
    base = stage.horizon + 0.05
    window = canvas.window(y0=top - 0.03, y1=base)
    fall = np.clip((window.y - top) / (base - top), 0.0, 1.0)
    off = window.x - x
    half = mouth + 0.2 * fall + stage.between(0.22, 0.4) * fall**2.2
    half = half + 0.02 * (stage.noise.curve(8, 3)[window.rows, None] - 0.5)
    rim = top + 0.015 * np.cos(np.clip(off / mouth, -1.0, 1.0) * np.pi) + 0.01 * stage.noise.curve(12, 2)[None]
    field = stage.noise.field()[window.rows]
    lit = np.clip((off + 0.25 * (field - 0.5) * fall) * stage.light / 0.05 + 0.5, 0.0, 1.0)
    rock = mix(palette.far * 0.62, palette.far * 1.15, 0.7 * lit + 0.3 * field)
    rock = mix(rock, palette.glow, 0.55 * np.exp(-fall * 9.0))
    rock = mix(rock, palette.horizon, 0.35 * fall**2)
    canvas.paint(window, canvas.edge(half - np.abs(off)) * canvas.edge(window.y - rim), rock, MOUNTAIN, 0.85)


def _paint_lava(stage: Stage, x: float, top: float) -> None:
    canvas = stage.canvas
    length = stage.between(0.45, 1.0) * (stage.horizon - top)
    window = canvas.window(x - 0.25, top, x + 0.25, top + length)
    fall = (window.y - top) / length
    axis = x + stage.between(-0.14, 0.14) * fall + 0.09 * fall * (stage.noise.curve(4, 2)[window.rows, None] - 0.5)
    half = 0.01 + 0.016 * fall
    off = np.abs(window.x - axis)
    red = np.array([226.0, 60.0, 24.0], np.float32)
    canvas.blend(window, 0.5 * np.exp(-off / 0.025) * np.clip(4.0 * (1.0 - fall), 0.0, 1.0), red)
    color = mix(red, stage.palette.glow, np.clip(1.4 - 1.4 * off / half, 0.0, 1.0) * (1.0 - 0.4 * fall))
    canvas.blend(window, canvas.edge(half * np.clip(5.0 * (1.0 - fall), 0.0, 1.0) - off), color)
