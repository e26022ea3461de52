"""Put things into a painted place, each where it belongs, behind what is nearer, beside the others."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .canvas import GROUND, OBJECT, SKY, WATER
from .class_objects import SceneBox
from .composition import COLORS, Thing
from .drawings import DRAWINGS, draw
from .light import Light, rgb
from .plants import paint_shadow
from .setting import Setting, Standing
from .weather import paint_birds

HOMES: Mapping[str, int] = {"boat": WATER, "balloon": SKY}  # every other thing stands on the ground
SIZES: Mapping[str, float] = {
    "lighthouse": 1.9, "castle": 1.8, "windmill": 1.6, "cabin": 1.15, "cactus": 1.1, "rocks": 0.75, "campfire": 0.6,
    "tent": 0.9, "snowman": 0.9,
}  # fmt: skip
BALLOON_DEPTH = 0.62
ATTEMPTS = 60
MIN_VISIBLE = 0.7  # share of a thing's own area
MAX_OVERLAP = 0.1  # share of the smaller of two squares


def place_things(setting: Setting) -> None:
    """Find places for what the composition has, on the land and in the sky, far ones first."""
    wanted = [thing for thing in setting.composition.things if thing.name in DRAWINGS]
    if setting.composition.place == "village":
        paints = setting.rng.permutation(len(COLORS))[: int(setting.rng.integers(4, 7))]
        wanted += [Thing("cabin", COLORS[paint]) for paint in paints]
    for thing in wanted:
        found = _find_place(setting, thing)
        setting.occupied.extend([found] if found else [])
    setting.occupied.sort(key=lambda standing: -standing.depth)


def paint_things(setting: Setting) -> tuple[SceneBox, ...]:
    """Paint the things that have places, and birds; returns the boxes of what can be seen of them."""
    owners = np.full(setting.canvas.segments.shape, -1, np.int16)
    painted = [_paint_thing(setting, standing, owners, index) for index, standing in enumerate(setting.occupied)]
    if setting.composition.has("birds"):
        paint_birds(setting)
    visible = setting.canvas.thin(owners)
    names = [standing.thing.name for standing in setting.occupied]
    boxes = [_bound(name, visible == index) for index, name in enumerate(names) if painted[index]]
    return tuple(box for box in boxes if box)


def _find_place(setting: Setting, thing: Thing) -> Standing | None:
    for _ in range(ATTEMPTS):
        place = _try_place(setting, thing)
        if place and all(place.overlap(other) <= MAX_OVERLAP for other in setting.occupied):
            return place
    return None


def _try_place(setting: Setting, thing: Thing) -> Standing | None:
    home = HOMES.get(thing.name, GROUND)
    x = setting.between(0.12, 0.88)
    if home == SKY:
        size = setting.between(0.2, 0.32)
        y = setting.between(size + 0.04, max(size + 0.06, setting.horizon - 0.02))
        touched, depth = (x, y - 0.5 * size), BALLOON_DEPTH
    else:
        y = setting.between(setting.horizon + 0.08, 0.95)
        size = (0.15 + 0.18 * float(setting.nearness(y))) * SIZES.get(thing.name, 1.0) * setting.between(0.9, 1.1)
        touched, depth = (x, y), setting.depth_at(x, y)
    corners = [(x - 0.32 * size, touched[1]), touched, (x + 0.32 * size, touched[1])]
    if any(setting.segment_at(*corner) != home for corner in corners):
        return None
    return Standing(thing, x, y, size, depth)


def _paint_thing(setting: Setting, place: Standing, owners: np.ndarray, index: int) -> bool:
    """Whether there was enough of it to be seen."""
    canvas, thing = setting.canvas, place.thing
    side = max(4, round(place.size * canvas.size))
    top, left = round(place.y * canvas.size) - side, round(place.x * canvas.size) - side // 2
    light = _softened(setting)
    sprite = draw(thing.name, side, setting.paint_of(thing.color), light.on, setting.is_dark, setting.is_snowy)
    if setting.light < 0:
        sprite = sprite[:, ::-1]
    window = canvas.window(*(edge / canvas.size for edge in (left, top, left + side, top + side)))
    rows = slice(window.rows.start - top, window.rows.stop - top)
    columns = slice(window.columns.start - left, window.columns.stop - left)
    cutout = sprite[rows, columns]
    coverage = cutout[..., 3] / 255.0 * (canvas.depth[window.rows, window.columns] > place.depth)
    if coverage.sum() < MIN_VISIBLE * sprite[..., 3].sum() / 255.0:
        return False
    if HOMES.get(thing.name, GROUND) == GROUND:
        paint_shadow(setting, place.x, place.y, 0.5 * place.size, 0.3)
    _shine(setting, place)
    canvas.paint(window, coverage, cutout[..., :3].transpose(2, 0, 1), OBJECT, place.depth)
    owners[window.rows, window.columns][coverage > 0.5] = index
    is_one_of_many = thing.name == "cabin" and setting.composition.place == "village"
    setting.show(thing.name, None if is_one_of_many else thing.color)
    return True


def _softened(setting: Setting) -> Light:
    """The scene's light, half as strong: the colors of things must be told apart at night too."""
    light = setting.daylight
    return Light(1.0 - 0.6 * (1.0 - light.tint), light.air, light.amount)


def _shine(setting: Setting, place: Standing) -> None:
    """The glow of a fire, and at night the beam of a lighthouse."""
    canvas = setting.canvas
    window = canvas.window()
    if place.thing.name == "campfire":
        distance = np.hypot(window.x - place.x, (window.y - place.y + 0.3 * place.size) * 1.3)
        strength = 0.65 if setting.is_dark else 0.3
        canvas.blend(window, strength * np.exp(-distance / (0.9 * place.size)), rgb("ff9a3c"))
    if place.thing.name == "lighthouse" and setting.is_dark:
        lamp_y = place.y - 0.85 * place.size
        out = (window.x - place.x) * setting.light
        inside = 0.16 * np.abs(out) - np.abs(window.y - lamp_y + 0.12 * out)
        beam = canvas.edge(inside / 6.0) * np.clip(1.0 - np.abs(out) / 0.55, 0.0, 1.0)
        canvas.blend(window, 0.4 * beam, rgb("ffe9a8"))


def _bound(name: str, visible: np.ndarray) -> SceneBox | None:
    rows, columns = np.flatnonzero(visible.any(1)), np.flatnonzero(visible.any(0))
    if not len(rows):
        return None
    height, width = visible.shape
    return SceneBox(
        name, float(columns[0] / width), float(rows[0] / height),
        float((columns[-1] + 1) / width), float((rows[-1] + 1) / height),
    )  # fmt: skip
