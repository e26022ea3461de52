"""Painters of everything above the horizon: gradient, sun, moon, stars, clouds and aurora."""

import numpy as np

from .canvas import CLOUD, SUN_MOON, Window, mix
from .stage import Stage


def paint_sky(stage: Stage) -> None:
    """Fill the canvas with the gradient from zenith to horizon."""
    window = stage.canvas.window()
    height = np.clip(window.y / stage.horizon, 0.0, 1.0) ** stage.between(0.8, 1.5)
    stage.canvas.color[:] = mix(stage.palette.zenith, stage.palette.horizon, height)


def paint_sun(stage: Stage, y: float, radius: float, glow: float = 0.6) -> None:
    """A sun with a wide glow in the palette's own light."""
    canvas, palette = stage.canvas, stage.palette
    window = canvas.window()
    distance = np.hypot(window.x - stage.sun_x, window.y - y)
    canvas.blend(window, glow * np.exp(-distance * stage.between(4.0, 7.0)), palette.glow)
    canvas.paint(window, canvas.edge(radius - distance), mix(palette.glow, np.full(3, 255.0), 0.3), SUN_MOON, 1.0)


def paint_moon(stage: Stage, y: float, radius: float, crescent: bool | None = None) -> None:
    """A moon with a soft halo and a few dark plains; now and then a crescent, unless `crescent` says which."""
    canvas, palette = stage.canvas, stage.palette
    window = canvas.window()
    distance = np.hypot(window.x - stage.sun_x, window.y - y)
    canvas.blend(window, 0.4 * np.exp(-distance * stage.between(5.0, 8.0)), palette.glow)
    disc = canvas.edge(radius - distance)
    if stage.chance(0.3) if crescent is None else crescent:
        shift = radius * stage.between(0.35, 0.6) * stage.light
        disc *= 1.0 - canvas.edge(radius - np.hypot(window.x - stage.sun_x + shift, window.y - y + 0.2 * radius))
    shade = np.zeros_like(distance)
    for _ in range(3):
        dx, dy = stage.rng.uniform(-0.6, 0.6, 2) * radius
        plain = radius * stage.between(0.2, 0.4)
        spot = np.hypot(window.x - stage.sun_x - dx, window.y - y - dy)
        shade = np.maximum(shade, np.clip(1.5 - spot / plain, 0.0, 1.0))
    canvas.paint(window, disc, mix(palette.glow, palette.glow * 0.82, shade), SUN_MOON, 1.0)


def paint_stars(stage: Stage, count: int) -> None:
    """A few large soft stars."""
    canvas = stage.canvas
    white = np.array([245.0, 245.0, 255.0], np.float32)
    places = stage.rng.random((count, 4))
    for across, up, size, brightness in places:
        x, y, radius = across, up * (stage.horizon - 0.06), 0.007 + 0.006 * size**3
        window = canvas.window(x - 2 * radius, y - 2 * radius, x + 2 * radius, y + 2 * radius)
        distance = np.hypot(window.x - x, window.y - y) / radius
        canvas.blend(window, np.clip(1.4 - distance, 0.0, 1.0) * (0.45 + 0.55 * brightness), white)


def paint_cumulus(stage: Stage, count: int, brightness: float = 0.85) -> None:
    """Heaped clouds with flat bases, bright above and shaded below; `brightness` is how near they come to white."""
    palette = stage.palette
    bright = mix(palette.horizon, np.full(3, 255.0, np.float32), brightness)
    shaded = mix(mix(palette.horizon, palette.zenith, 0.25), bright, 0.35)
    wobble = stage.noise.field()
    for index in range(count):
        x = (index + stage.between(0.1, 0.9)) / count
        y = stage.between(0.1, stage.horizon - 0.2)
        width = stage.between(0.1, 0.22)
        window = stage.canvas.window(x - 1.4 * width, y - 0.9 * width, x + 1.4 * width, y + 0.3 * width)
        distance = _heap(stage, window, x, y, width)
        distance += 0.035 * (wobble[window.rows, window.columns] - 0.5)
        lit = np.clip((y - window.y) / (0.6 * width) + 6.0 * distance, 0.0, 1.0)
        coverage = np.clip(distance / 0.014, 0.0, 1.0)
        stage.canvas.paint(window, coverage, mix(shaded, bright, lit), CLOUD, 1.0)


def _heap(stage: Stage, window: Window, x: float, y: float, width: float) -> np.ndarray:
    """Distance to the outline of a row of puffs standing on the line `y`, positive inside."""
    inside = np.full((len(window.y), window.x.shape[1]), -1.0, np.float32)
    for offset in np.linspace(-0.8, 0.8, 5) + stage.rng.uniform(-0.12, 0.12, 5):
        radius = width * (0.5 - 0.3 * abs(offset)) * stage.between(0.75, 1.15)
        inside = np.maximum(inside, radius - np.hypot(window.x - x - offset * width, window.y - y + 0.3 * radius))
    return np.minimum(inside, y + 0.1 * width - window.y)


def paint_streaks(stage: Stage, color: np.ndarray, amount: float, share: float = 0.4) -> None:
    """Thin layered clouds over roughly `share` of the sky."""
    window = stage.canvas.window(y1=stage.horizon)
    field = stage.noise.streaks()[window.rows]
    coverage = np.clip((field - (1.0 - share)) * 3.5, 0.0, 1.0) * np.clip((stage.horizon - window.y) * 6.0, 0.0, 1.0)
    stage.canvas.blend(window, coverage * amount, color)
    stage.canvas.segments[window.rows][coverage * amount > 0.4] = CLOUD


def paint_aurora(stage: Stage, count: int) -> None:
    """Curtains of light with a sharp lower hem, green below and violet above."""
    canvas = stage.canvas
    window = canvas.window(y1=stage.horizon)
    violet = np.array([150.0, 80.0, 240.0], np.float32)
    for _ in range(count):
        hem = stage.between(0.16, stage.horizon - 0.18) + 0.28 * (stage.noise.curve(2, octaves=3) - 0.5)
        rise = hem - window.y
        reach = stage.between(0.1, 0.2) * (0.6 + 0.8 * stage.noise.curve(3, octaves=2))
        rays = 0.3 + 0.7 * stage.noise.curve(6, octaves=3)
        strength = np.where(rise > 0, np.exp(-np.maximum(rise, 0) / reach), np.exp(np.minimum(rise, 0) * 45.0))
        tint = mix(stage.palette.glow, violet, np.clip(rise / 0.3, 0.0, 1.0) * stage.between(0.4, 1.0))
        canvas.blend(window, strength * rays * stage.between(0.55, 0.85), tint)
