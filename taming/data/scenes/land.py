"""Painters of land in layers: ridges, snow peaks, dunes, ground, mist and water."""

import numpy as np

from .canvas import GROUND, MOUNTAIN, WATER, brighten, mix
from .stage import Stage

SNOW = np.array([246.0, 249.0, 255.0], np.float32)


def paint_ridge(
    stage: Stage, skyline: np.ndarray, color: np.ndarray, depth: float, haze: float = 0.3, contrast: float = 14.0
) -> None:
    """Everything below `skyline`, (n,) in y: slopes lit from the side, fading downwards into haze."""
    canvas, light = stage.canvas, stage.light
    window = canvas.window(y0=float(skyline.min()) - 0.01)
    drop = window.y - skyline
    # Shading follows slanted spurs: read the skyline's slope beside each pixel, not straight above it.
    beside = np.arange(canvas.size) + (drop * light * 0.6 * canvas.size).astype(np.int32)
    slope = np.gradient(skyline).astype(np.float32) * canvas.size
    shade = np.clip(slope * -light, -1.2, 1.2)[np.clip(beside, 0, canvas.size - 1)]
    shade = shade * np.exp(-np.maximum(drop, 0.0) / 0.16) + (stage.noise.field()[window.rows] - 0.5)
    fade = np.clip(drop / 0.35, 0.0, 1.0) * haze
    surface = mix(brighten(color, contrast * shade), stage.palette.horizon, fade)
    canvas.paint(window, canvas.edge(drop), surface, MOUNTAIN, depth)


def paint_hills(stage: Stage, count: int, height: float, base: int, octaves: int = 3, haze: float = 0.4) -> None:
    """`count` rolling ridges from the palette's far color to its near one."""
    palette = stage.palette
    for index in range(count):
        nearness = (index + 1) / (count + 1)
        rise = height * (1.0 - 0.6 * nearness) * stage.between(0.7, 1.1)
        skyline = stage.horizon + 0.03 * nearness - rise * stage.noise.curve(base, octaves, 0.4)
        paint_ridge(stage, skyline, mix(palette.far, palette.near, nearness), 0.92 - 0.28 * nearness, haze)


def paint_peaks(stage: Stage, count: int, height: float, snow: float, snow_color: np.ndarray = SNOW) -> None:
    """A range of faceted peaks, the tall ones behind; `snow` is the share of each flank under snow."""
    places = (np.arange(count) + stage.rng.uniform(0.0, 1.0, count)) / count
    heights = np.sort(height * stage.rng.uniform(0.45, 1.0, count))[::-1]
    for order, (x, rise) in enumerate(zip(stage.rng.permutation(places), heights, strict=True)):
        _paint_peak(stage, float(x), float(rise), snow, snow_color, 0.95 - 0.2 * order / count)


def _paint_peak(stage: Stage, x: float, rise: float, snow: float, snow_color: np.ndarray, depth: float) -> None:
    canvas, palette, noise = stage.canvas, stage.palette, stage.noise
    top, base = stage.horizon - rise, stage.horizon + 0.05
    left, right = stage.between(0.75, 1.3), stage.between(0.75, 1.3)
    window = canvas.window(x - left * 1.3 * (base - top), top - 0.01, x + right * 1.3 * (base - top), base)
    drop = np.maximum(window.y - top, 0.0)
    field = noise.field()[window.rows, window.columns]
    rough = (noise.curve(9, 3)[window.rows, None] - 0.5) * np.minimum(drop * 0.8, 0.06)
    coverage = canvas.edge(np.minimum(window.x - x + drop * left, x + drop * right - window.x) + rough - 0.002)
    coverage *= canvas.edge(window.y - top)
    spine = x + drop * stage.between(-0.25, 0.25) + (field - 0.5) * np.minimum(drop * 1.6, 0.16)
    lit = np.clip((window.x - spine) * stage.light * canvas.size / 3.0 + 0.5, 0.0, 1.0)
    lit = lit * 0.75 + 0.25 * field
    color = mix(palette.far, palette.near, 0.35 * (1.0 - depth) / 0.25)
    rock = mix(color * 0.72, np.minimum(color * 1.12, 255.0), lit)
    line = rise * snow * (0.75 + 0.5 * (noise.curve(14, 2)[None, window.columns] - 0.3) + 0.5 * (field - 0.5))
    powder = mix(mix(snow_color, palette.zenith, 0.38), snow_color, lit)
    rock = mix(rock, powder, canvas.edge((line - drop) * 0.5))
    haze = np.clip(drop / (base - top), 0.0, 1.0) ** 2 * 0.55
    canvas.paint(window, coverage, mix(rock, palette.horizon, haze), MOUNTAIN, depth)


def paint_dunes(stage: Stage, count: int) -> None:
    """Overlapping dunes, each a smooth crest between a bright and a shaded face."""
    canvas, palette = stage.canvas, stage.palette
    for index in range(count):
        nearness = (index + 0.5) / count
        y = stage.horizon - 0.02 + (0.88 - stage.horizon) * nearness**1.2
        crest = y - (0.09 + 0.07 * nearness) * (stage.noise.curve(2, 2, 0.25) - 0.4)
        window = canvas.window(y0=float(crest.min()) - 0.01)
        drop = window.y - crest
        summit = float(window.x[0, crest.argmin()])
        wander = 0.1 * (stage.noise.curve(2, 2)[window.rows, None] - 0.5)
        face = (window.x - summit - stage.light * 0.7 * drop + wander) * stage.light
        lit = np.clip(face / 0.012 + 0.5, 0.0, 1.0) * 0.8 + 0.2 * np.clip(1.0 - face * 2.0, 0.0, 1.0)
        sand = mix(palette.far, palette.ground, nearness)
        shadow = mix(palette.far, palette.near, 0.35 + 0.65 * nearness)
        surface = mix(shadow, brighten(sand, 10.0 * (stage.noise.streaks()[window.rows] - 0.5)), lit)
        surface = mix(surface, palette.horizon, 0.35 * (1.0 - nearness))
        depth = stage.ground_depth(window.y)
        canvas.paint(window, canvas.edge(drop), surface, GROUND, depth)


def paint_ground(stage: Stage, line: np.ndarray, color: np.ndarray, relief: float = 20.0) -> None:
    """Level ground below `line`, (n,) in y, lighter far away and softly patched."""
    canvas = stage.canvas
    window = canvas.window(y0=float(line.min()) - 0.01)
    patches = stage.noise.streaks()[window.rows] - 0.5
    nearness = stage.nearness(window.y)
    surface = mix(color, stage.palette.horizon, 0.25 * (1.0 - nearness) ** 2)
    surface = brighten(surface, relief * (patches - 0.7 * (nearness - 0.3)))
    canvas.paint(window, canvas.edge(window.y - line), surface, GROUND, stage.ground_depth(window.y))


def paint_mist(stage: Stage, y: float, thickness: float, amount: float) -> None:
    """A bank of mist around the height `y`."""
    window = stage.canvas.window(y0=y - 2.5 * thickness, y1=y + 2.5 * thickness)
    band = np.exp(-(((window.y - y) / thickness) ** 2)) * (0.5 + 0.5 * stage.noise.streaks()[window.rows])
    stage.canvas.blend(window, amount * band, stage.palette.horizon)


def paint_water(stage: Stage, shore: float, mirror: float = 0.6, smear: float = 0.02, glitter: float = 0.0) -> None:
    """Water below `shore` that mirrors what is painted above it, smeared over the height `smear`.

    `glitter` is the strength of the light's path on the waves.
    """
    canvas, palette = stage.canvas, stage.palette
    window = canvas.window(y0=shore)
    nearness = np.clip((window.y - shore) / (1.0 - shore), 0.0, 1.0)
    warp = stage.noise.streaks()[window.rows]
    # Waves get longer towards the viewer; below three pixels they would only be noise.
    waves = np.sin(26.0 * np.log(nearness + 0.22) + 5.0 * warp) * np.clip(nearness * 3.0, 0.0, 1.0)
    sway = 1.0 + 0.025 * np.sin(30.0 * np.sqrt(nearness) + stage.between(0.0, 6.0))
    image = _mirror_image(stage, (2.0 * shore - window.y * sway)[:, 0], window.rows.start, smear)
    color = mix(palette.water, image, mirror * (1.0 - 0.45 * nearness))
    surface = brighten(color, 9.0 * waves)
    canvas.paint(window, np.ones_like(warp), surface, WATER, 0.75 - 0.65 * nearness)
    if glitter:
        path = np.exp(-(((window.x - stage.sun_x) / (0.05 + 0.1 * nearness)) ** 2))
        canvas.blend(window, glitter * path * np.clip(0.5 + 0.7 * waves, 0.0, 1.0), palette.glow)


def _mirror_image(stage: Stage, heights: np.ndarray, shore_row: int, smear: float) -> np.ndarray:
    """(3, h, n) colors above row `shore_row` at the given heights, averaged over `smear` around each."""
    canvas = stage.canvas
    sums = np.cumsum(canvas.color[:, :shore_row], axis=1, dtype=np.float64)
    reach = max(1, round(0.5 * smear * canvas.size))
    rows = np.clip((heights * canvas.size).astype(np.int32), 0, shore_row - 1)
    low, high = np.clip(rows - reach, 0, shore_row - 2), np.clip(rows + reach, 1, shore_row - 1)
    return ((sums[:, high] - sums[:, low]) / (high - low)[:, None]).astype(np.float32)


def paint_course(stage: Stage, color: np.ndarray, segment: int, width: float = 0.12, glow: float = 0.0) -> None:
    """A winding path, river or lava stream on the ground, from the horizon to the viewer."""
    canvas = stage.canvas
    start = stage.horizon + 0.075
    window = canvas.window(y0=start)
    nearness = np.clip((window.y - start) / (1.0 - start), 0.0, 1.0)
    bends = stage.between(0.05, 0.2) * np.sin(stage.between(4.0, 8.0) * np.sqrt(nearness) + stage.between(0.0, 6.3))
    axis = stage.between(0.3, 0.7) + stage.between(-0.2, 0.2) * nearness + bends * (0.25 + nearness)
    half = 0.006 + width * nearness**1.3
    inside = half - np.abs(window.x - axis)
    if glow:
        canvas.blend(window, glow * np.exp(np.minimum(inside, 0.0) / (0.02 + 0.06 * nearness)), color * 0.8)
    middle = np.clip(inside / half, 0.0, 1.0)
    surface = brighten(color, 26.0 * (middle - 0.4) + 14.0 * (stage.noise.streaks()[window.rows] - 0.5))
    canvas.paint(window, canvas.edge(inside * 0.7), surface, segment, stage.ground_depth(window.y))
