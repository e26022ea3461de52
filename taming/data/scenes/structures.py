"""Painters of what stands in the water: a suspension bridge and an island."""

from __future__ import annotations

import numpy as np

from .canvas import BUILDING, brighten
from .land import paint_ridge
from .light import rgb
from .setting import Setting


def paint_bridge(setting: Setting, shore: float) -> None:
    """A suspension bridge across the picture, whose piers stand a little above the line `shore`."""
    if not setting.composition.has("bridge"):
        return
    canvas = setting.canvas
    color_name = setting.composition.color_of("bridge")
    color = setting.daylight.on(setting.paint_of(color_name))
    deck, top = shore - setting.between(0.05, 0.08), shore - setting.between(0.26, 0.34)
    left, right = setting.between(0.16, 0.28), setting.between(0.7, 0.84)
    window = canvas.window(y0=top - 0.03, y1=shore)
    middle, span = (left + right) / 2, (right - left) / 2
    sag = deck - 0.015 - (deck - 0.015 - top) * ((window.x - middle) / span) ** 2
    outside = np.where(window.x < left, left - window.x, window.x - right)
    slope = top + outside * (deck - top) / max(left, 1.0 - right, 0.2)
    cable = np.where((window.x < left) | (window.x > right), slope, sag)
    parts = [0.005 - np.abs(window.y - cable)]
    hanger = np.abs((window.x * 22.0) % 1.0 - 0.5) / 22.0
    parts.append(np.minimum(0.002 - hanger + 0.0 * window.y, np.minimum(window.y - cable, deck - window.y)))
    parts.append(0.011 - np.abs(window.y - deck) + 0.0 * window.x)
    for x in (left, right):
        width = 0.016
        parts.append(np.minimum(width - np.abs(window.x - x), window.y - top + 0.02))
    inside = np.maximum.reduce([np.broadcast_to(part, (len(window.y), window.x.shape[1])) for part in parts])
    surface = brighten(color, 26.0 * setting.light * np.sign(window.x - middle) * (window.y > 0))
    canvas.paint(window, canvas.edge(inside), surface, BUILDING, 0.7)
    setting.show("bridge", color_name)


def paint_island(setting: Setting) -> None:
    """A wooded island on the horizon."""
    if not setting.composition.has("island"):
        return
    x = (np.arange(setting.canvas.size) + 0.5) / setting.canvas.size
    middle, half = setting.between(0.2, 0.8), setting.between(0.14, 0.26)
    dome = np.clip(1.0 - ((x - middle) / half) ** 2, 0.0, 1.0) ** 0.7
    rise = setting.between(0.1, 0.18) * dome * (0.7 + 0.6 * setting.noise.curve(4, 3))
    skyline = np.where(dome > 0, setting.horizon - rise, setting.horizon + 0.05)
    green = setting.daylight.on(rgb("4c9a58"))
    paint_ridge(setting, skyline.astype(np.float32), green, 0.8, haze=0.15)
    setting.show("island")
