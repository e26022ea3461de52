"""Painters of plants: firs bare and snowed in, tree lines, broad trees and palms."""

import numpy as np

from .canvas import TREE, Window, brighten, mix
from .stage import Stage


def plant_rows(stage: Stage, count: int, nearest: float = 0.97) -> list[tuple[float, float, float]]:
    """`count` places (x, y, nearness) on the ground, far ones first, denser towards the horizon."""
    nearness = np.sort(stage.rng.random(count) ** 1.4)
    y = stage.horizon + 0.05 + nearness * (nearest - stage.horizon - 0.05)
    x = (np.arange(count) + stage.rng.random(count)) / count
    return list(zip(stage.rng.permutation(x).tolist(), y.tolist(), nearness.tolist(), strict=True))


def paint_shadow(stage: Stage, x: float, y: float, radius: float, amount: float = 0.35) -> None:
    """A soft shadow on the ground, drawn out away from the light."""
    x -= stage.light * radius * 0.4
    window = stage.canvas.window(x - 1.5 * radius, y - 0.5 * radius, x + 1.5 * radius, y + 0.5 * radius)
    distance = np.hypot((window.x - x) / 1.4, (window.y - y) * 3.0) / radius
    stage.canvas.blend(window, amount * np.clip(1.4 * (1.0 - distance), 0.0, 1.0), stage.palette.near * 0.35)


def paint_fir(stage: Stage, x: float, y: float, height: float, color: np.ndarray, snow: float = 0.0) -> None:
    """A fir standing at (x, y); `snow` is the share of each bough in the color of the snowy ground."""
    canvas = stage.canvas
    tiers = int(stage.rng.integers(3, 6))
    spread = height * stage.between(0.24, 0.34)
    window = canvas.window(x - spread, y - height, x + spread, y)
    fall = np.clip((window.y - y + height) / height, 0.0, 1.0)
    crown = np.clip(fall / 0.93, 0.0, 1.0)
    bough = (crown * tiers) % 1.0  # 0 at the top of each tier, 1 at its hem
    half = spread * crown**0.9 * (0.62 + 0.38 * bough) * (fall < 0.93) + spread * 0.11 * (fall >= 0.93)
    across = (window.x - x) * stage.light / spread
    surface = brighten(color, 34.0 * across + 12.0 * (bough - 0.5))
    if snow:
        # Hems hang lower towards the tips, so the white follows the boughs rather than a ruler.
        hang = bough + 0.5 * np.abs(across)
        white = np.clip((snow - hang) * 3.5 + 0.5, 0.0, 1.0) * (fall < 0.93)
        sunny = stage.palette.ground
        powder = mix(mix(sunny, stage.palette.zenith, 0.45), sunny, np.clip(across + 0.6, 0.0, 1.0))
        surface = mix(surface, powder, white)
    depth = float(stage.ground_depth(y))
    canvas.paint(window, canvas.edge(half - np.abs(window.x - x)), surface, TREE, depth)


def paint_tree_line(stage: Stage, skyline: np.ndarray, color: np.ndarray, depth: float, height: float) -> None:
    """A ridge covered with firs, seen as one silhouette that fades into mist below."""
    canvas = stage.canvas
    count = int(1.6 / height)
    x = (np.arange(canvas.size) + 0.5) / canvas.size
    places = (np.arange(count) + stage.rng.uniform(0.1, 0.9, count)) / count
    sizes = height * stage.rng.uniform(0.5, 1.25, count)
    firs = (sizes[:, None] - np.abs(x - places[:, None]) * 3.0).max(0)
    edge = (skyline - np.maximum(firs, 0.0)).astype(np.float32)
    window = canvas.window(y0=float(edge.min()) - 0.01)
    drop = window.y - edge
    fade = np.clip((window.y - skyline) / 0.16, 0.0, 1.0) * 0.75
    canvas.paint(window, canvas.edge(drop * 0.5), mix(color, stage.palette.horizon, fade), TREE, depth)


def paint_broad_tree(stage: Stage, x: float, y: float, height: float, color: np.ndarray) -> None:
    """A round or slender crown of a few overlapping puffs on a short trunk."""
    canvas = stage.canvas
    depth = float(stage.ground_depth(y))
    slender = stage.between(0.26, 0.4)
    trunk = canvas.window(x - 0.05 * height, y - 0.5 * height, x + 0.05 * height, y)
    thickness = height * (0.022 + 0.02 * (trunk.y - y + 0.5 * height) / (0.5 * height))
    canvas.paint(trunk, canvas.edge(thickness - np.abs(trunk.x - x)), stage.wood, TREE, depth)
    window = canvas.window(x - 0.6 * height, y - 1.05 * height, x + 0.6 * height, y - 0.15 * height)
    inside = _crown(stage, window, x, y, height, slender)
    lit = (window.x - x) * stage.light / height - (window.y - y + 0.6 * height) / height
    surface = mix(color * 0.72, np.minimum(color * 1.1 + 14.0, 255.0), np.clip(0.5 + 1.1 * lit, 0.0, 1.0))
    canvas.paint(window, canvas.edge(inside), surface, TREE, depth)


def _crown(stage: Stage, window: Window, x: float, y: float, height: float, slender: float) -> np.ndarray:
    center = y - 0.62 * height
    inside = 0.34 * height - np.hypot((window.x - x) * 0.34 / slender, window.y - center)
    for angle in stage.rng.uniform(0.0, 1.26) + np.arange(5) * 1.257:
        px = x + np.cos(angle) * 0.62 * slender * height
        py = center + np.sin(angle) * 0.2 * height
        inside = np.maximum(inside, 0.17 * height - np.hypot(window.x - px, window.y - py))
    return inside


def paint_palm(stage: Stage, x: float, y: float, height: float) -> None:
    """A palm with a bent trunk and drooping fronds."""
    canvas = stage.canvas
    depth = float(stage.ground_depth(y))
    bend = stage.between(0.08, 0.3) * height * (1.0 if x < 0.5 else -1.0)
    window = canvas.window(x - 0.4 * height, y - height, x + 0.4 * height, y)
    up = np.clip((y - window.y) / height, 0.0, 1.0)
    axis = x + bend * up**1.6
    half = height * (0.034 - 0.016 * up)
    surface = brighten(stage.wood + 22.0, 420.0 * (window.x - axis) * stage.light)
    canvas.paint(window, canvas.edge(half - np.abs(window.x - axis)), surface, TREE, depth)
    angles = np.linspace(-0.45, np.pi + 0.45, 9) + stage.rng.normal(0.0, 0.08, 9)
    for angle in stage.rng.permutation(angles):
        _paint_frond(stage, x + bend, y - height, float(angle), height * stage.between(0.3, 0.42), depth)


def _paint_frond(stage: Stage, x: float, y: float, angle: float, length: float, depth: float) -> None:
    canvas = stage.canvas
    window = canvas.window(x - length, y - length, x + length, y + length)
    dx, dy = window.x - x, window.y - y
    along = dx * np.cos(angle) - dy * np.sin(angle)
    share = np.clip(along / length, 0.0, 1.0)
    droop = 0.5 * length * share**2 * np.cos(angle)
    off = dx * np.sin(angle) + dy * np.cos(angle) - droop
    half = length * (0.13 * np.sin(np.pi * share**0.7) + 0.012)
    coverage = canvas.edge(half - np.abs(off)) * canvas.edge(np.minimum(along, length - along))
    tone = stage.palette.foliage * stage.between(0.78, 1.15)
    canvas.paint(window, coverage, brighten(tone, 26.0 * np.clip(-off / half, -1.0, 1.0)), TREE, depth)
