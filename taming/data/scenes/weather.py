"""Painters of the sky's things and of weather: sun and moon, rainbow, clouds, birds; fog, rain and snow."""

from __future__ import annotations

import numpy as np

from .canvas import OBJECT, SUN_MOON, mix
from .light import WHITE, rgb
from .setting import Setting
from .sky import paint_aurora, paint_cumulus, paint_moon, paint_sky, paint_stars, paint_streaks, paint_sun

RAINBOW = tuple(rgb(code) for code in ("e8403c", "f49434", "f8d83c", "54b85c", "3c84dc", "8054c0"))


def paint_heaven(setting: Setting) -> None:
    """The sky with all that the composition has in it, but for birds and balloons."""
    composition, horizon = setting.composition, setting.horizon
    paint_sky(setting)
    if composition.has("stars"):
        paint_stars(setting, int(setting.rng.integers(14, 34)))
        setting.show("stars")
    if composition.has("aurora"):
        glow = setting.palette.glow.copy()
        setting.palette.glow[:] = rgb("4cf0a0") if setting.chance(0.7) else rgb("50dce8")
        paint_aurora(setting, int(setting.rng.integers(2, 4)))
        setting.palette.glow[:] = glow
        setting.show("aurora")
    is_low = composition.time in ("dawn", "sunset")
    if composition.has("sun"):
        height = setting.between(0.02, 0.24) if is_low else horizon - horizon * setting.between(0.18, 0.5)
        paint_sun(setting, horizon - height, setting.between(0.055, 0.095), glow=0.75 if is_low else 0.5)
        setting.show("sun")
    for name in ("moon", "crescent"):
        if composition.has(name):
            paint_moon(setting, horizon * setting.between(0.2, 0.5), setting.between(0.06, 0.1), name == "crescent")
            setting.show(name)
    if composition.has("rainbow"):
        _paint_rainbow(setting)
        setting.show("rainbow")
    _paint_clouds(setting)


def _paint_rainbow(setting: Setting) -> None:
    canvas = setting.canvas
    window = canvas.window(y1=setting.horizon + 0.05)
    x, radius = setting.between(0.25, 0.75), setting.between(0.34, 0.46)
    distance = np.hypot(window.x - x, window.y - setting.horizon - 0.04)
    band = 0.017
    for order, color in enumerate(RAINBOW):
        inside = band / 2 - np.abs(distance - radius + order * band)
        canvas.blend(window, 0.85 * np.clip(inside * canvas.size + 0.5, 0.0, 1.0), setting.daylight.on(color))


def _paint_clouds(setting: Setting) -> None:
    composition, palette = setting.composition, setting.palette
    brightness = {"night": 0.16, "sunset": 0.35, "dawn": 0.6}.get(composition.time, 0.85)
    match composition.weather:
        case "cloudy":
            paint_cumulus(setting, int(setting.rng.integers(3, 6)), brightness)
        case "rainy" | "snowfall":
            gray = mix(palette.zenith, palette.horizon, 0.5)
            paint_streaks(setting, mix(gray * 0.9, WHITE, 0.35 * brightness), 0.7, 0.65)
        case "clear" if composition.time in ("dawn", "sunset") and setting.chance(0.6):
            paint_streaks(setting, mix(palette.horizon, palette.zenith, setting.between(0.1, 0.5)), 0.6, 0.3)


def paint_birds(setting: Setting) -> None:
    """A loose flock of birds, each two curved wings."""
    canvas = setting.canvas
    x, y = setting.between(0.2, 0.8), setting.between(0.12, max(0.2, setting.horizon - 0.22))
    color = mix(rgb("2c3038"), setting.palette.horizon, 0.1)
    if setting.is_dark:
        color = mix(setting.palette.horizon, WHITE, 0.45)
    count = int(setting.rng.integers(3, 7))
    for number in range(count):
        half = setting.between(0.026, 0.042)
        cx, cy = x + 0.1 * (number - count / 2) + setting.between(-0.03, 0.03), y + setting.between(-0.07, 0.07)
        window = canvas.window(cx - half, cy - half, cx + half, cy + half)
        across = np.abs(window.x - cx) / half
        wing = cy - 0.75 * half * (across - across**2) * 2.0 + 0.3 * half * across
        thickness = 0.2 * half * (1.0 - across) + 0.002
        coverage = canvas.edge(thickness - np.abs(window.y - wing)) * (across <= 1.0)
        canvas.paint(window, coverage, color, OBJECT, 0.6)
    setting.show("birds")


def paint_weather(setting: Setting) -> None:
    """Fog over everything by its distance; then what falls."""
    match setting.composition.weather:
        case "foggy":
            _paint_fog(setting, 0.85)
        case "rainy":
            _paint_fog(setting, 0.2)
            _paint_rain(setting)
        case "snowfall":
            _paint_fog(setting, 0.15)
            _paint_flakes(setting)


def _paint_fog(setting: Setting, amount: float) -> None:
    canvas = setting.canvas
    window = canvas.window()
    depth = np.where(canvas.segments == SUN_MOON, 0.5, canvas.depth)
    banks = 0.75 + 0.25 * setting.noise.streaks()
    canvas.blend(window, amount * banks * np.clip((depth - 0.2) / 0.55, 0.0, 1.0), setting.palette.horizon)


def _paint_rain(setting: Setting) -> None:
    canvas = setting.canvas
    slant = setting.between(0.15, 0.4) * setting.light
    color = mix(setting.palette.horizon, WHITE, 0.5)
    for x, y, size in setting.rng.random((44, 3)):
        length = 0.06 + 0.06 * size
        window = canvas.window(x - length, y, x + length, y + length)
        axis = x + slant * (window.y - y)
        canvas.blend(window, 0.55 * canvas.edge(0.005 - np.abs(window.x - axis)), color)


def _paint_flakes(setting: Setting) -> None:
    canvas = setting.canvas
    color = mix(setting.snow, WHITE, 0.5)
    for x, y, size in setting.rng.random((60, 3)):
        radius = 0.007 + 0.009 * size**2
        window = canvas.window(x - radius, y - radius, x + radius, y + radius)
        distance = np.hypot(window.x - x, window.y - y)
        canvas.blend(window, 0.9 * canvas.edge(radius - distance), color)
