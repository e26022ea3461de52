"""Painter of a city skyline at night: three rows of towers with aligned windows."""

import numpy as np

from .canvas import BUILDING, brighten, mix
from .stage import Stage

# Walls and windows snap to this grid, four pixels at 128 px, so that windows stay crisp and fall alike into tokens.
CELLS = 32


def paint_skyline(stage: Stage, foot: float, lamp: np.ndarray | None = None) -> None:
    """Three rows of towers standing on the line `foot`; the first is only a silhouette in haze.

    `lamp` is the color of windows with light in them; by default that of the palette's glow.
    """
    palette = stage.palette
    tints = [mix(palette.horizon, palette.far, 0.6), mix(palette.far, palette.horizon, 0.12), palette.near]
    for row, tint in enumerate(tints):
        column = -int(stage.rng.integers(0, 3))
        while column < CELLS:
            width = int(stage.rng.integers(3, 8))
            rise = int(CELLS * stage.between(0.1, 0.52 - 0.1 * row)) + 2
            if stage.chance(0.8):
                _paint_tower(stage, column, width, foot, rise, row, tint * np.float32(stage.between(0.75, 1.25)), lamp)
            column += width


def _paint_tower(
    stage: Stage, column: int, width: int, foot: float, rise: int, row: int, tint: np.ndarray, lamp: np.ndarray | None
) -> None:
    canvas = stage.canvas
    x0, x1, top = column / CELLS, (column + width) / CELLS, foot - rise / CELLS
    window = canvas.window(x0, top, x1, foot)
    shade = 10.0 * stage.light * (window.x - x0 - 0.5 * (x1 - x0)) / (x1 - x0)
    depth = 0.85 - 0.15 * row
    full = np.ones((len(window.y), window.x.shape[1]), np.float32)
    canvas.paint(window, full, brighten(tint, shade + 18.0 * (foot - window.y)), BUILDING, depth)
    _paint_roof(stage, x0, x1, top, tint, depth)
    if row:
        _light_windows(stage, column, width, top, rise, tint, lamp)


def _paint_roof(stage: Stage, x0: float, x1: float, top: float, tint: np.ndarray, depth: float) -> None:
    canvas = stage.canvas
    kind = int(stage.rng.integers(0, 4))
    center, half = 0.5 * (x0 + x1), 0.5 * (x1 - x0)
    if kind == 0:
        return
    height, width = ((0.03, 0.6 * half), (0.06, 0.9 * half), (0.08, 0.012))[kind - 1]
    window = canvas.window(center - half, top - height, center + half, top)
    up = (top - window.y) / height
    taper = width * (1.0 - up) if kind == 2 else np.full_like(up, width)
    canvas.paint(window, canvas.edge(taper - np.abs(window.x - center)), tint, BUILDING, depth)


def _light_windows(
    stage: Stage, column: int, width: int, top: float, rise: int, tint: np.ndarray, lamp: np.ndarray | None
) -> None:
    canvas = stage.canvas
    pitch = canvas.size // CELLS
    pane = max(canvas.supersampling, pitch // 2)
    first = round(top * canvas.size)
    warmth = stage.between(0.0, 0.6)
    if lamp is None:
        lamp = mix(stage.palette.glow, np.array([255.0, 244.0, 220.0], np.float32), warmth)
    states = stage.rng.random((rise - 1, width - 1)) < stage.between(0.2, 0.6)
    dark = tint * 1.2 + 4.0
    for storey, row in enumerate(states):
        y = first + storey * pitch + (pitch - pane)
        for room, lit in enumerate(row):
            x = (column + room) * pitch + pitch - pane // 2
            if x >= 0:
                canvas.color[:, y : y + pane, x : x + pane] = (lamp if lit else dark).reshape(3, 1, 1)
