"""A painter for each place: land, water and what grows there, back to front."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from .canvas import GROUND, WATER, brighten, mix
from .city import CELLS, paint_skyline
from .land import (
    paint_course,
    paint_dunes,
    paint_ground,
    paint_hills,
    paint_mist,
    paint_peaks,
    paint_ridge,
    paint_water,
)
from .light import WHITE, rgb
from .plants import paint_broad_tree, paint_fir, paint_palm, paint_shadow, paint_tree_line, plant_rows
from .rocks import layer_strata, paint_mesa, paint_volcano
from .setting import Setting
from .structures import paint_bridge, paint_island

LEAVES: Mapping[str, tuple[str, ...]] = {
    "spring": ("f4a8c8", "fcd4e0", "8cc84c", "b0d860"),
    "summer": ("3f9444", "5aac48", "2f7c40"),
    "autumn": ("d84a22", "f0a82c", "ba2e2a", "e2761e", "b88c34"),
    "winter": ("dfe8f4", "c8d4e4"),
}


def paint_land(setting: Setting) -> None:
    """Land and water of the composition's place, and what stands far away."""
    _LAND[setting.composition.place](setting)


def paint_plants(setting: Setting) -> None:
    """What grows there, but not in front of anything in `setting.occupied`."""
    grow = _PLANTS.get(setting.composition.place)
    if grow:
        grow(setting)


def _ground_line(setting: Setting, drop: float = 0.03, swell: float = 0.03) -> np.ndarray:
    return setting.horizon + drop + swell * (setting.noise.curve(2, 2) - 0.5)


def _river(setting: Setting, low: float = 0.06, high: float = 0.12) -> None:
    if setting.composition.has("river"):
        water = mix(setting.palette.water, setting.palette.horizon, 0.2)
        paint_course(setting, water, WATER, width=setting.between(low, high))
        setting.show("river")


def _road(setting: Setting) -> None:
    if setting.composition.has("road"):
        sand = setting.daylight.on(rgb("e8d4a8") if not setting.is_snowy else rgb("c8c4c0"))
        paint_course(setting, sand, GROUND, width=setting.between(0.07, 0.13))
        setting.show("road")


def _firs(setting: Setting, count: int, smallest: float = 0.09, growth: float = 0.34, nearest: float = 0.97) -> None:
    """Firs on the ground, larger in front."""
    snow = setting.between(0.75, 0.95) if setting.is_snowy else 0.0
    for x, y, nearness in plant_rows(setting, count, nearest):
        height = (smallest + growth * nearness) * setting.between(0.75, 1.25)
        if not setting.is_free(x, y, 0.3 * height):
            continue
        paint_shadow(setting, x, y, 0.35 * height, 0.25)
        paint_fir(setting, x, y, height, setting.palette.foliage * setting.between(0.8, 1.2), snow)
        setting.show("pines")


def _trees(setting: Setting, count: int, smallest: float = 0.12, growth: float = 0.32) -> None:
    """Trees with leaves of the season's colors."""
    leaves = [setting.daylight.on(rgb(code)) for code in LEAVES[setting.composition.season]]
    for x, y, nearness in plant_rows(setting, count):
        height = (smallest + growth * nearness) * setting.between(0.8, 1.2)
        if not setting.is_free(x, y, 0.4 * height):
            continue
        paint_shadow(setting, x, y, 0.45 * height, 0.25)
        leaf = mix(leaves[int(setting.rng.integers(len(leaves)))], setting.palette.horizon, 0.25 * (1.0 - nearness))
        paint_broad_tree(setting, x, y, height, leaf)
        setting.show("trees")


def _plants(setting: Setting, count: int) -> None:
    """What grows on a meadow: trees with leaves, and in winter mostly firs."""
    if setting.is_snowy:
        _firs(setting, count)
    else:
        _trees(setting, count)


def _flowers(setting: Setting) -> None:
    """Flowers of one color all over the ground, larger in front."""
    if not setting.composition.has("flowers"):
        return
    color = setting.composition.color_of("flowers")
    petal = setting.daylight.on(setting.paint_of(color))
    canvas = setting.canvas
    for x, y, nearness in plant_rows(setting, 70, nearest=1.02):
        if setting.segment_at(x, y) != GROUND:
            continue
        radius = 0.009 + 0.015 * nearness
        window = canvas.window(x - radius, y - radius, x + radius, y + radius)
        distance = np.hypot(window.x - x, (window.y - y) * 1.2)
        surface = brighten(petal, -24.0 * np.clip((window.y - y) / radius, -1.0, 1.0))
        canvas.paint(window, canvas.edge(radius * 0.9 - distance), surface, GROUND, float(setting.ground_depth(y)))
    setting.show("flowers", color)


def _mountains(setting: Setting) -> None:
    snow = setting.between(0.8, 1.1) if setting.is_snowy else setting.between(0.35, 0.6)
    count = int(setting.rng.integers(4, 8))
    paint_peaks(setting, count, setting.between(0.3, 0.44), snow, setting.snow)
    skyline = setting.horizon + 0.03 - 0.1 * setting.noise.curve(2, 3, 0.4)
    paint_ridge(setting, skyline, setting.palette.near, 0.66)
    paint_ground(setting, _ground_line(setting, 0.05, 0.06), setting.palette.ground)
    _river(setting)


def _plants_of_mountains(setting: Setting) -> None:
    _firs(setting, int(setting.rng.integers(5, 14)))


def _forest(setting: Setting) -> None:
    palette = setting.palette
    if setting.chance(0.4):
        paint_hills(setting, 1, setting.between(0.2, 0.32), base=2)
    rows = int(setting.rng.integers(3, 5))
    deep = palette.foliage if setting.composition.season != "autumn" else mix(palette.foliage, palette.near, 0.5)
    for row in range(rows):
        nearness = (row + 1) / rows
        skyline = setting.horizon - 0.12 + 0.3 * nearness - 0.1 * (setting.noise.curve(2, 2) - 0.3)
        color = mix(palette.far, deep, 0.3 + 0.6 * nearness)
        if setting.is_snowy:
            color = mix(color, setting.snow, 0.3)
        paint_tree_line(setting, skyline, color, 0.9 - 0.5 * nearness, 0.07 + 0.1 * nearness)
    paint_mist(setting, setting.horizon + 0.1, 0.07, 0.3)
    paint_ground(setting, setting.horizon + 0.2 + 0.05 * setting.noise.curve(2, 2), palette.ground * 0.9)
    _river(setting)


def _plants_of_forest(setting: Setting) -> None:
    if setting.composition.season in ("autumn", "spring"):
        _trees(setting, int(setting.rng.integers(4, 9)), 0.2, 0.38)
    _firs(setting, int(setting.rng.integers(3, 9)), 0.18, 0.42, nearest=1.03)


def _lake(setting: Setting) -> None:
    palette = setting.palette
    if setting.chance(0.5):
        snow = 0.9 if setting.is_snowy else 0.4
        paint_peaks(setting, int(setting.rng.integers(3, 6)), setting.between(0.24, 0.36), snow, setting.snow)
    paint_hills(setting, int(setting.rng.integers(1, 3)), setting.between(0.12, 0.22), base=3, haze=0.25)
    shore = setting.horizon + 0.05
    snow = 0.8 if setting.is_snowy else 0.0
    for x in np.sort(setting.rng.random(int(setting.rng.integers(5, 12)))):
        height = setting.between(0.08, 0.2)
        paint_fir(setting, float(x), shore + 0.005, height, palette.foliage * setting.between(0.8, 1.1), snow)
    setting.show("pines")
    paint_bridge(setting, shore)
    glitter = 0.45 if setting.composition.has("moon") or setting.composition.time == "sunset" else 0.0
    paint_water(setting, shore, mirror=0.75, smear=0.03, glitter=glitter)
    side = 1.0 if setting.chance(0.5) else -1.0
    x = (np.arange(setting.canvas.size) + 0.5) / setting.canvas.size
    bank = 0.88 - 0.16 * side * (x - 0.5) + 0.05 * (setting.noise.curve(2, 2) - 0.5)
    paint_ground(setting, bank.astype(np.float32), palette.ground)


def _sea(setting: Setting) -> None:
    is_bright = setting.composition.time == "day"
    if setting.chance(0.35):
        skyline = setting.horizon + setting.between(0.08, 0.18) * (0.5 - setting.noise.curve(2, 3, 0.4))
        paint_ridge(setting, skyline, mix(setting.palette.far, setting.palette.near, 0.4), 0.85)
    paint_island(setting)
    paint_bridge(setting, setting.horizon)
    has_path = any(setting.composition.has(name) for name in ("sun", "moon", "crescent"))
    paint_water(setting, setting.horizon, mirror=0.35 if is_bright else 0.7, glitter=0.6 if has_path else 0.0)
    if setting.composition.has("lighthouse"):
        _cliff(setting)


def _cliff(setting: Setting) -> None:
    """A foreland in a corner, for what must stand on the ground."""
    side = 1.0 if setting.chance(0.5) else -1.0
    x = (np.arange(setting.canvas.size) + 0.5) / setting.canvas.size
    line = 0.74 + 0.9 * np.clip(0.62 - (x if side < 0 else 1.0 - x) - 0.2, -1.0, 0.0) * -1.0
    line = line + 0.04 * (setting.noise.curve(3, 3) - 0.5)
    grass = setting.daylight.on(rgb("7cae54"))
    paint_ground(setting, line.astype(np.float32), grass)


def _beach(setting: Setting) -> None:
    palette = setting.palette
    if setting.chance(0.5):
        skyline = setting.horizon + setting.between(0.08, 0.18) * (0.5 - setting.noise.curve(2, 3, 0.4))
        paint_ridge(setting, skyline, mix(palette.far, palette.near, setting.between(0.2, 0.7)), 0.85)
    paint_island(setting)
    has_path = any(setting.composition.has(name) for name in ("sun", "moon", "crescent"))
    mirror = 0.3 if setting.composition.time == "day" else 0.6
    paint_water(setting, setting.horizon, mirror=mirror, glitter=0.4 if has_path and mirror > 0.5 else 0.0)
    side = 1.0 if setting.chance(0.5) else -1.0
    x = (np.arange(setting.canvas.size) + 0.5) / setting.canvas.size
    sand = (0.82 - 0.13 * side * (x - 0.5) + 0.06 * (setting.noise.curve(2, 2) - 0.5)).astype(np.float32)
    _foam(setting, sand)
    paint_ground(setting, sand, palette.ground, relief=14.0)


def _palms_of_beach(setting: Setting) -> None:
    side = 1.0 if setting.chance(0.5) else -1.0
    _palms(setting, int(setting.rng.integers(1, 4)), (0.5 + 0.05 * side, 0.5 + 0.42 * side), 0.74, 0.38, 0.6)


def _palms(
    setting: Setting, count: int, across: tuple[float, float], highest: float, smallest: float, tallest: float
) -> None:
    """Up to `count` palms that stand between two x, on the ground below the line `highest`."""
    planted = 0
    for _ in range(20 * count):
        x, y = setting.between(min(across), max(across)), setting.between(highest, 0.94)
        if planted < count and setting.is_free(x, y, 0.05):
            height = setting.between(smallest, tallest)
            paint_shadow(setting, x, y, 0.2 * height)
            paint_palm(setting, x, y, height)
            setting.show("palm")
            planted += 1


def _foam(setting: Setting, shore: np.ndarray) -> None:
    canvas = setting.canvas
    window = canvas.window(y0=float(shore.min()) - 0.1)
    out = (shore - window.y) / 0.07
    shallow = mix(setting.palette.horizon, setting.palette.water, 0.3)
    canvas.blend(window, 0.4 * np.clip(1.0 - out, 0.0, 1.0), shallow)
    canvas.blend(window, np.clip(2.0 - np.abs(out - 0.15) / 0.1, 0.0, 1.0) * 0.85, setting.daylight.on(WHITE))


def _desert(setting: Setting) -> None:
    paint_dunes(setting, int(setting.rng.integers(3, 6)))


def _palms_of_desert(setting: Setting) -> None:
    if setting.composition.has("palm"):
        _palms(setting, int(setting.rng.integers(1, 4)), (0.1, 0.9), setting.horizon + 0.14, 0.28, 0.44)


def _canyon(setting: Setting) -> None:
    strata = layer_strata(setting)
    for nearness in (0.1, 0.45, 0.9):
        for _ in range(int(setting.rng.integers(1, 3))):
            top = setting.horizon - setting.between(0.12, 0.38) * (1.1 - 0.2 * nearness)
            half = setting.between(0.04, 0.2) if nearness > 0.2 else setting.between(0.15, 0.4)
            paint_mesa(setting, strata, setting.between(-0.05, 1.05), top, half, nearness)
    paint_ground(setting, _ground_line(setting, 0.07, 0.03), setting.palette.ground)
    _river(setting)


def _volcano(setting: Setting) -> None:
    glow = setting.palette.glow.copy()
    setting.palette.glow[:] = rgb("ffb43c")
    paint_volcano(setting)
    paint_hills(setting, int(setting.rng.integers(1, 3)), setting.between(0.06, 0.14), base=3)
    paint_ground(setting, _ground_line(setting, 0.06, 0.04), setting.palette.ground)
    if setting.composition.has("river"):
        _river(setting)
    elif setting.chance(0.5):
        lava = mix(rgb("e23c18"), rgb("ffb43c"), 0.45)
        paint_course(setting, lava, GROUND, width=setting.between(0.05, 0.1), glow=0.5)
    setting.palette.glow[:] = glow


def _meadow(setting: Setting) -> None:
    paint_hills(setting, int(setting.rng.integers(1, 4)), setting.between(0.12, 0.26), base=2)
    paint_ground(setting, _ground_line(setting), setting.palette.ground)
    _river(setting)
    _road(setting)
    _flowers(setting)


def _plants_of_meadow(setting: Setting) -> None:
    _plants(setting, int(setting.rng.integers(4, 12)))


def _field(setting: Setting) -> None:
    """Rows of flowers that run to a point on the horizon."""
    canvas, palette = setting.canvas, setting.palette
    paint_hills(setting, int(setting.rng.integers(1, 3)), setting.between(0.1, 0.2), base=2)
    if setting.chance(0.6):
        skyline = np.full(canvas.size, setting.horizon + 0.035, np.float32)
        paint_tree_line(setting, skyline, mix(palette.far, palette.foliage, 0.6), 0.62, 0.07)
    line = _ground_line(setting, 0.035, 0.0)
    paint_ground(setting, line, palette.ground)
    petal = setting.daylight.on(setting.paint_of(setting.composition.place_color))
    window = canvas.window(y0=float(line.min()))
    vanish_x, vanish_y = setting.between(0.25, 0.75), float(line.min()) - 0.06
    below = window.y - vanish_y
    along = (window.x - vanish_x) / below * setting.between(2.2, 3.4) + setting.between(0.0, 1.0)
    phase = along - np.floor(along)
    sharpness = canvas.size * below / 3.0
    row = np.clip((0.34 - np.abs(phase - 0.5)) * sharpness / 2.0 + 0.5, 0.0, 1.0) * (window.y >= line)
    bumps = setting.noise.field()[window.rows] - 0.5
    lit = np.clip((phase - 0.5) * setting.light, -0.4, 0.4)
    surface = brighten(mix(petal, palette.horizon, 0.3 * (1.0 - setting.nearness(window.y))), 60.0 * lit + 24.0 * bumps)
    canvas.blend(window, row, surface)
    setting.show("flowers", setting.composition.place_color)


def _city(setting: Setting) -> None:
    palette = setting.palette
    foot = round((setting.horizon + setting.between(0.12, 0.2)) * CELLS) / CELLS
    is_bright = setting.composition.time in ("day", "dawn")
    lamp = mix(palette.horizon, WHITE, 0.5) if is_bright else rgb("ffd070")
    paint_skyline(setting, foot, lamp)
    has_water = setting.chance(0.5) or any(setting.composition.has(name) for name in ("bridge", "boat"))
    if has_water:
        paint_bridge(setting, foot)
        paint_water(setting, foot, mirror=0.6 if is_bright else 0.85, smear=0.12)
        return
    ground = setting.snow if setting.is_snowy else palette.ground
    paint_ground(setting, np.full(setting.canvas.size, foot, np.float32), ground)
    if setting.is_dark:
        window = setting.canvas.window(y0=foot)
        setting.canvas.blend(window, 0.4 * np.exp(-(window.y - foot) / 0.09), rgb("ffd070") * 0.8)


def _trees_of_city(setting: Setting) -> None:
    _trees(setting, int(setting.rng.integers(3, 7)), 0.1, 0.2)


def _village(setting: Setting) -> None:
    paint_hills(setting, int(setting.rng.integers(1, 4)), setting.between(0.12, 0.26), base=2)
    paint_ground(setting, _ground_line(setting), setting.palette.ground)
    _road(setting)
    _flowers(setting)


def _plants_of_village(setting: Setting) -> None:
    _plants(setting, int(setting.rng.integers(3, 8)))


_LAND: Mapping[str, Callable[[Setting], None]] = {
    "mountains": _mountains,
    "forest": _forest,
    "lake": _lake,
    "sea": _sea,
    "beach": _beach,
    "desert": _desert,
    "canyon": _canyon,
    "volcano": _volcano,
    "meadow": _meadow,
    "field": _field,
    "city": _city,
    "village": _village,
}
_PLANTS: Mapping[str, Callable[[Setting], None]] = {
    "mountains": _plants_of_mountains,
    "forest": _plants_of_forest,
    "beach": _palms_of_beach,
    "desert": _palms_of_desert,
    "meadow": _plants_of_meadow,
    "city": _trees_of_city,
    "village": _plants_of_village,
}
