"""Put objects into a finished scene, each where it belongs, behind what is nearer, beside the others."""

from dataclasses import dataclass

import numpy as np

from .canvas import GROUND, OBJECT, SKY, WATER, mix
from .plants import paint_shadow
from .sprites import PAINTS, draw_sprite
from .stage import Stage

INHABITANTS: dict[str, tuple[str, ...]] = {
    "alpine": ("house", "tent", "rock", "balloon"),
    "sunset_sea": ("boat", "balloon"),
    "desert": ("cactus", "tent", "rock", "balloon"),
    "pine_forest": ("house", "tent", "rock"),
    "night": ("boat",),
    "winter": ("snowman", "house", "tent"),
    "aurora": ("snowman", "house", "tent"),
    "beach": ("boat", "balloon", "lighthouse", "rock"),
    "city_night": ("boat", "balloon", "house"),
    "autumn": ("house", "tent", "rock", "balloon"),
    "volcano": ("rock", "tent", "lighthouse"),
    "canyon": ("cactus", "rock", "tent", "balloon"),
}
HOMES: dict[str, int] = {"boat": WATER, "balloon": SKY}  # every other object stands on the ground
SIZES: dict[str, float] = {"lighthouse": 1.7, "cactus": 1.2, "rock": 0.75, "snowman": 0.85}
DIM_CLASSES = ("night", "aurora", "city_night", "volcano", "sunset_sea")
BALLOON_DEPTH = 0.62

ATTEMPTS = 24  # per object
MIN_VISIBLE = 0.5  # share of an object's own area
MAX_OVERLAP = 0.1  # share of the smaller of two squares


@dataclass(frozen=True)
class SceneBox:
    """The visible extent of one object, in fractions of the picture."""

    name: str
    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True)
class _Placement:
    name: str
    x: float  # middle
    y: float  # foot
    size: float
    depth: float


def place_objects(stage: Stage, class_name: str, num_objects: int) -> tuple[SceneBox, ...]:
    """Paint up to `num_objects` objects and return the boxes of what can be seen of them, far ones first."""
    canvas = stage.canvas
    owners = np.full(canvas.segments.shape, -1, np.int16)
    placements = sorted(_find_places(stage, class_name, num_objects), key=lambda place: -place.depth)
    for index, place in enumerate(placements):
        _paint_object(stage, place, owners, index, dim=class_name in DIM_CLASSES)
    boxes = (_bound(place.name, canvas.thin(owners) == index) for index, place in enumerate(placements))
    return tuple(box for box in boxes if box)


def _find_places(stage: Stage, class_name: str, num_objects: int) -> list[_Placement]:
    found: list[_Placement] = []
    names = INHABITANTS[class_name]
    for _ in range(num_objects * ATTEMPTS):
        if len(found) == num_objects:
            break
        place = _try_place(stage, names[stage.rng.integers(len(names))])
        if place and all(_overlap(place, other) <= MAX_OVERLAP for other in found):
            found.append(place)
    return found


def _try_place(stage: Stage, name: str) -> _Placement | None:
    home = HOMES.get(name, GROUND)
    x = stage.between(0.08, 0.92)
    if home == SKY:
        y, size = stage.between(0.22, stage.horizon - 0.04), stage.between(0.14, 0.24)
        touched, depth = (x, y - 0.5 * size), BALLOON_DEPTH
    else:
        y = stage.between(stage.horizon + 0.08, 0.96)
        size = (0.11 + 0.2 * float(stage.nearness(y))) * SIZES.get(name, 1.0) * stage.between(0.85, 1.15)
        touched, depth = (x, y), stage.depth_at(x, y)
    corners = [(x - 0.3 * size, touched[1]), touched, (x + 0.3 * size, touched[1])]
    if any(stage.segment_at(*corner) != home for corner in corners):
        return None
    return _Placement(name, x, y, size, depth)


def _overlap(a: _Placement, b: _Placement) -> float:
    width = min(a.x + a.size / 2, b.x + b.size / 2) - max(a.x - a.size / 2, b.x - b.size / 2)
    height = min(a.y, b.y) - max(a.y - a.size, b.y - b.size)
    return max(width, 0.0) * max(height, 0.0) / min(a.size, b.size) ** 2


def _paint_object(stage: Stage, place: _Placement, owners: np.ndarray, index: int, dim: bool) -> None:
    canvas = stage.canvas
    side = max(4, round(place.size * canvas.size))
    top, left = round(place.y * canvas.size) - side, round(place.x * canvas.size) - side // 2
    sprite = draw_sprite(place.name, side, PAINTS[stage.rng.integers(len(PAINTS))])
    if stage.light < 0:
        sprite = sprite[:, ::-1]
    window = canvas.window(*(edge / canvas.size for edge in (left, top, left + side, top + side)))
    rows = slice(window.rows.start - top, window.rows.stop - top)
    columns = slice(window.columns.start - left, window.columns.stop - left)
    cutout = sprite[rows, columns]
    coverage = cutout[..., 3] / 255.0 * (canvas.depth[window.rows, window.columns] > place.depth)
    if coverage.sum() < MIN_VISIBLE * sprite[..., 3].sum() / 255.0:
        return
    if HOMES.get(place.name, GROUND) != SKY:
        paint_shadow(stage, place.x, place.y, 0.5 * place.size, 0.3)
    color = cutout[..., :3].transpose(2, 0, 1)
    if dim:
        color = mix(color, stage.palette.near, 0.35)
    canvas.paint(window, coverage, color, OBJECT, place.depth)
    owners[window.rows, window.columns][coverage > 0.5] = index


def _bound(name: str, visible: np.ndarray) -> SceneBox | None:
    rows, columns = np.flatnonzero(visible.any(1)), np.flatnonzero(visible.any(0))
    if not len(rows):
        return None
    height, width = visible.shape
    return SceneBox(
        name, float(columns[0] / width), float(rows[0] / height),
        float((columns[-1] + 1) / width), float((rows[-1] + 1) / height),
    )  # fmt: skip
