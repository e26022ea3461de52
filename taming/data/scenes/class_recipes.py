"""How each scene class is put together from painters, back to front."""

from collections.abc import Callable

import numpy as np

from .canvas import GROUND, WATER, mix
from .city import paint_skyline
from .land import (
    SNOW,
    paint_course,
    paint_dunes,
    paint_ground,
    paint_hills,
    paint_mist,
    paint_peaks,
    paint_ridge,
    paint_water,
)
from .plants import (
    paint_broad_tree,
    paint_fir,
    paint_palm,
    paint_shadow,
    paint_tree_line,
    plant_rows,
)
from .rocks import layer_strata, paint_mesa, paint_volcano
from .sky import (
    paint_aurora,
    paint_cumulus,
    paint_moon,
    paint_sky,
    paint_stars,
    paint_streaks,
    paint_sun,
)
from .stage import Stage

WHITE = np.full(3, 255.0, np.float32)


def _ground_line(stage: Stage, drop: float = 0.03, swell: float = 0.03) -> np.ndarray:
    return stage.horizon + drop + swell * (stage.noise.curve(2, 2) - 0.5)


def _alpine(stage: Stage) -> None:
    paint_sky(stage)
    paint_cumulus(stage, int(stage.rng.integers(1, 4)))
    paint_peaks(stage, int(stage.rng.integers(4, 8)), stage.between(0.3, 0.46), snow=stage.between(0.4, 0.65))
    skyline = stage.horizon + 0.03 - 0.1 * stage.noise.curve(2, 3, 0.4)
    paint_ridge(stage, skyline, stage.palette.near, 0.66)
    paint_ground(stage, _ground_line(stage, 0.05, 0.06), stage.palette.ground)
    if stage.chance(0.3):
        paint_course(stage, mix(stage.palette.water, stage.palette.horizon, 0.3), WATER, width=stage.between(0.05, 0.1))
    for x, y, nearness in plant_rows(stage, int(stage.rng.integers(7, 18))):
        height = (0.07 + 0.3 * nearness) * stage.between(0.7, 1.3)
        paint_shadow(stage, x, y, 0.35 * height)
        paint_fir(stage, x, y, height, stage.palette.foliage * stage.between(0.75, 1.25))


def _sunset_sea(stage: Stage) -> None:
    palette = stage.palette
    paint_sky(stage)
    paint_sun(stage, stage.horizon - stage.between(0.0, 0.26), stage.between(0.05, 0.1), glow=0.8)
    paint_streaks(stage, mix(palette.horizon, palette.zenith, stage.between(0.1, 0.6)), 0.7, stage.between(0.3, 0.5))
    for nearness in (0.2, 0.8)[: int(stage.rng.integers(0, 3))]:
        rise = stage.between(0.08, 0.24)
        skyline = stage.horizon + rise * (0.5 - 1.1 * stage.noise.curve(2, 3, 0.35))
        paint_ridge(stage, skyline, mix(palette.far, palette.near, nearness), 0.9 - 0.1 * nearness)
    paint_water(stage, stage.horizon, mirror=0.75, glitter=0.75)


def _desert(stage: Stage) -> None:
    paint_sky(stage)
    paint_sun(stage, stage.horizon * stage.between(0.2, 0.75), stage.between(0.045, 0.085))
    if stage.chance(0.35):
        paint_streaks(stage, mix(stage.palette.horizon, WHITE, 0.6), 0.5, 0.35)
    paint_dunes(stage, int(stage.rng.integers(3, 6)))


def _pine_forest(stage: Stage) -> None:
    palette = stage.palette
    paint_sky(stage)
    if stage.chance(0.4):
        paint_sun(stage, stage.horizon * stage.between(0.2, 0.6), stage.between(0.04, 0.06), glow=0.5)
    if stage.chance(0.5):
        paint_hills(stage, 1, stage.between(0.2, 0.34), base=2)
    rows = int(stage.rng.integers(3, 5))
    for row in range(rows):
        nearness = (row + 1) / rows
        base = stage.horizon - 0.12 + 0.34 * nearness
        skyline = base - stage.between(0.06, 0.16) * (stage.noise.curve(2, 2) - 0.3)
        color = mix(palette.far, palette.foliage, 0.25 + 0.6 * nearness)
        paint_tree_line(stage, skyline, color, 0.9 - 0.5 * nearness, 0.06 + 0.1 * nearness)
    paint_mist(stage, stage.horizon + 0.1, 0.08, 0.4)
    paint_ground(stage, stage.horizon + 0.26 + 0.05 * stage.noise.curve(2, 2), palette.ground * 0.8)
    for x, y, nearness in plant_rows(stage, int(stage.rng.integers(3, 10)), nearest=1.05):
        if nearness > 0.45:
            paint_fir(stage, x, y, 0.15 + 0.45 * nearness, palette.foliage * stage.between(0.75, 1.05))


def _night(stage: Stage) -> None:
    palette = stage.palette
    paint_sky(stage)
    paint_stars(stage, int(stage.rng.integers(10, 28)))
    paint_moon(stage, stage.horizon * stage.between(0.2, 0.65), stage.between(0.055, 0.1))
    paint_hills(stage, int(stage.rng.integers(1, 4)), stage.between(0.14, 0.32), base=3, haze=0.25)
    shore = stage.horizon + 0.04
    for x in stage.rng.random(int(stage.rng.integers(6, 14))):
        paint_fir(stage, float(x), shore + 0.005, stage.between(0.07, 0.2), palette.foliage)
    paint_water(stage, shore, mirror=0.85, smear=0.04, glitter=0.45)


def _winter(stage: Stage) -> None:
    palette = stage.palette
    paint_sky(stage)
    if stage.chance(0.4):
        paint_sun(stage, stage.horizon * stage.between(0.3, 0.8), stage.between(0.04, 0.06))
    else:
        paint_streaks(stage, mix(palette.horizon, WHITE, 0.6), 0.7, 0.5)
    paint_hills(stage, int(stage.rng.integers(2, 4)), stage.between(0.16, 0.3), base=2)
    paint_ground(stage, _ground_line(stage, 0.04, 0.06), palette.ground, relief=16.0)
    for x, y, nearness in plant_rows(stage, int(stage.rng.integers(6, 14))):
        height = (0.1 + 0.32 * nearness) * stage.between(0.8, 1.2)
        paint_shadow(stage, x, y, 0.4 * height, 0.22)
        paint_fir(stage, x, y, height, palette.foliage, snow=stage.between(0.75, 0.95))


def _aurora(stage: Stage) -> None:
    paint_sky(stage)
    paint_stars(stage, int(stage.rng.integers(8, 20)))
    paint_aurora(stage, int(stage.rng.integers(1, 4)))
    moonlit = mix(SNOW, stage.palette.far, 0.45)
    paint_peaks(stage, int(stage.rng.integers(3, 7)), stage.between(0.2, 0.34), stage.between(0.4, 0.7), moonlit)
    if stage.chance(0.5):
        paint_water(stage, stage.horizon + 0.03, mirror=0.85, smear=0.04)
        paint_ground(stage, stage.horizon + 0.3 + 0.14 * (stage.noise.curve(2, 2) - 0.5), stage.palette.ground)
    else:
        paint_ground(stage, _ground_line(stage, 0.03, 0.06), stage.palette.ground)
    for x, y, nearness in plant_rows(stage, int(stage.rng.integers(0, 9)), nearest=1.0):
        if nearness > 0.45 and stage.segment_at(x, y) == GROUND:
            paint_fir(stage, x, y, 0.1 + 0.3 * nearness, stage.palette.foliage, snow=0.55)


def _beach(stage: Stage) -> None:
    paint_sky(stage)
    if stage.chance(0.4):
        paint_sun(stage, stage.horizon * stage.between(0.15, 0.5), stage.between(0.045, 0.07))
    paint_cumulus(stage, int(stage.rng.integers(1, 4)))
    if stage.chance(0.7):
        skyline = stage.horizon + stage.between(0.08, 0.2) * (0.5 - stage.noise.curve(2, 3, 0.4))
        paint_ridge(stage, skyline, mix(stage.palette.far, stage.palette.near, stage.between(0.1, 0.7)), 0.85)
    paint_water(stage, stage.horizon, mirror=0.3)
    side = 1.0 if stage.chance(0.5) else -1.0
    x = (np.arange(stage.canvas.size) + 0.5) / stage.canvas.size
    sand = 0.84 - 0.13 * side * (x - 0.5) + 0.06 * (stage.noise.curve(2, 2) - 0.5)
    _paint_foam(stage, sand)
    paint_ground(stage, sand, stage.palette.ground, relief=14.0)
    for _ in range(int(stage.rng.integers(1, 4))):
        palm_x = 0.5 + side * stage.between(0.05, 0.42)
        palm_y = float(np.interp(palm_x, x, sand)) + stage.between(0.03, 0.1)
        height = stage.between(0.36, 0.58)
        paint_shadow(stage, palm_x, palm_y, 0.2 * height)
        paint_palm(stage, palm_x, palm_y, height)


def _paint_foam(stage: Stage, shore: np.ndarray) -> None:
    window = stage.canvas.window(y0=float(shore.min()) - 0.1)
    out = (shore - window.y) / 0.07
    stage.canvas.blend(window, 0.4 * np.clip(1.0 - out, 0.0, 1.0), mix(stage.palette.horizon, stage.palette.water, 0.3))
    stage.canvas.blend(window, np.clip(2.0 - np.abs(out - 0.15) / 0.1, 0.0, 1.0) * 0.85, WHITE)


def _city_night(stage: Stage) -> None:
    paint_sky(stage)
    paint_stars(stage, int(stage.rng.integers(4, 12)))
    if stage.chance(0.7):
        paint_moon(stage, stage.horizon * stage.between(0.15, 0.5), stage.between(0.05, 0.08))
    foot = round((stage.horizon + stage.between(0.12, 0.22)) * 32) / 32
    paint_skyline(stage, foot)
    if stage.chance(0.6):
        paint_water(stage, foot, mirror=0.9, smear=0.16)
    else:
        paint_ground(stage, np.full(stage.canvas.size, foot, np.float32), stage.palette.ground)
        window = stage.canvas.window(y0=foot)
        stage.canvas.blend(window, 0.45 * np.exp(-(window.y - foot) / 0.09), stage.palette.glow * 0.8)


def _autumn(stage: Stage) -> None:
    palette = stage.palette
    paint_sky(stage)
    if stage.chance(0.7):
        paint_cumulus(stage, int(stage.rng.integers(1, 3)))
    paint_hills(stage, int(stage.rng.integers(1, 4)), stage.between(0.14, 0.28), base=2)
    paint_ground(stage, _ground_line(stage), palette.ground)
    if stage.chance(0.35):
        paint_course(stage, mix(palette.ground, palette.horizon, 0.45), GROUND, width=stage.between(0.06, 0.12))
    leaves = np.array([[214, 74, 34], [240, 168, 44], [186, 46, 42], [226, 118, 30], [158, 140, 52]], np.float32)
    for x, y, nearness in plant_rows(stage, int(stage.rng.integers(7, 18))):
        height = (0.12 + 0.32 * nearness) * stage.between(0.75, 1.15)
        paint_shadow(stage, x, y, 0.45 * height)
        leaf = mix(leaves[stage.rng.integers(len(leaves))], palette.horizon, 0.3 * (1.0 - nearness))
        paint_broad_tree(stage, x, y, height, leaf)


def _volcano(stage: Stage) -> None:
    palette = stage.palette
    paint_sky(stage)
    paint_volcano(stage)
    paint_hills(stage, int(stage.rng.integers(1, 3)), stage.between(0.06, 0.14), base=3)
    paint_ground(stage, _ground_line(stage, 0.06, 0.04), palette.ground)
    if stage.chance(0.6):
        lava = mix(np.array([226.0, 60.0, 24.0], np.float32), palette.glow, 0.45)
        paint_course(stage, lava, GROUND, width=stage.between(0.05, 0.12), glow=0.55)


def _canyon(stage: Stage) -> None:
    palette = stage.palette
    paint_sky(stage)
    if stage.chance(0.6):
        paint_cumulus(stage, int(stage.rng.integers(1, 3)))
    strata = layer_strata(stage)
    for nearness in (0.1, 0.45, 0.9):
        for _ in range(int(stage.rng.integers(1, 3))):
            top = stage.horizon - stage.between(0.12, 0.4) * (1.1 - 0.2 * nearness)
            half = stage.between(0.03, 0.2) if nearness > 0.2 else stage.between(0.15, 0.4)
            paint_mesa(stage, strata, stage.between(-0.05, 1.05), top, half, nearness)
    if stage.chance(0.4):
        side = 0.0 if stage.chance(0.5) else 1.0
        paint_mesa(stage, strata, side, stage.between(0.1, 0.25), stage.between(0.08, 0.25), 1.0)
    paint_ground(stage, _ground_line(stage, 0.07, 0.03), palette.ground)
    if stage.chance(0.4):
        paint_course(stage, mix(palette.water, palette.horizon, 0.15), WATER, width=stage.between(0.06, 0.14))


RECIPES: dict[str, Callable[[Stage], None]] = {
    "alpine": _alpine,
    "sunset_sea": _sunset_sea,
    "desert": _desert,
    "pine_forest": _pine_forest,
    "night": _night,
    "winter": _winter,
    "aurora": _aurora,
    "beach": _beach,
    "city_night": _city_night,
    "autumn": _autumn,
    "volcano": _volcano,
    "canyon": _canyon,
}
