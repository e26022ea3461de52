"""What a scene is made of: a place at a time, a season and weather, and the things in it; drawn from a seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

COLORS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white")

PLACES = (
    "mountains", "forest", "lake", "sea", "beach", "desert", "canyon", "volcano", "meadow", "field", "city", "village",
)  # fmt: skip
TIMES = ("dawn", "day", "sunset", "night")
SEASONS = ("spring", "summer", "autumn", "winter")
WEATHERS = ("clear", "cloudy", "foggy", "rainy", "snowfall")

SEASONS_OF: Mapping[str, tuple[str, ...]] = {
    "mountains": SEASONS,
    "forest": SEASONS,
    "lake": SEASONS,
    "meadow": SEASONS,
    "village": SEASONS,
    "field": ("spring", "summer"),
    "canyon": ("summer", "winter"),
    "city": ("summer", "winter"),
    "volcano": ("summer", "winter"),
}  # everywhere else it is always summer

# What may be seen at a place, and how likely it is there.
THINGS_OF: Mapping[str, Mapping[str, float]] = {
    "mountains": {"river": 0.25, "cabin": 0.25, "tent": 0.15, "castle": 0.12, "balloon": 0.18, "birds": 0.2},
    "forest": {"river": 0.2, "cabin": 0.25, "tent": 0.2, "campfire": 0.2, "birds": 0.15, "castle": 0.1},
    "lake": {"boat": 0.4, "cabin": 0.2, "bridge": 0.15, "balloon": 0.15, "birds": 0.2, "castle": 0.12},
    "sea": {"boat": 0.5, "lighthouse": 0.25, "bridge": 0.2, "island": 0.4, "balloon": 0.2, "birds": 0.35},
    "beach": {"boat": 0.35, "lighthouse": 0.2, "balloon": 0.15, "birds": 0.3, "island": 0.3, "campfire": 0.1},
    "desert": {"cactus": 0.5, "tent": 0.2, "balloon": 0.2, "rocks": 0.2, "birds": 0.1, "campfire": 0.15, "palm": 0.25},
    "canyon": {"cactus": 0.3, "river": 0.3, "balloon": 0.25, "tent": 0.15, "rocks": 0.2, "birds": 0.15},
    "volcano": {"rocks": 0.25, "tent": 0.1, "river": 0.15, "birds": 0.1, "cabin": 0.1},
    "meadow": {
        "flowers": 0.4, "cabin": 0.25, "windmill": 0.2, "balloon": 0.2, "road": 0.25, "river": 0.15, "birds": 0.2,
        "tent": 0.1, "castle": 0.1,
    },
    "field": {"windmill": 0.35, "cabin": 0.25, "balloon": 0.25, "birds": 0.2, "castle": 0.08},
    "city": {"boat": 0.2, "bridge": 0.2, "balloon": 0.2, "birds": 0.15},
    "village": {"road": 0.4, "windmill": 0.25, "castle": 0.2, "balloon": 0.2, "birds": 0.2, "flowers": 0.2},
}  # fmt: skip
COLORED = ("balloon", "boat", "cabin", "lighthouse", "castle", "windmill", "tent", "flowers", "field", "bridge")

SKY_COLORS_OF: Mapping[str, tuple[str, ...]] = {
    "dawn": ("pink", "purple", "yellow"),
    "day": ("blue",),
    "sunset": ("orange", "pink", "purple", "red", "yellow"),
    "night": ("blue", "purple", "green"),
}

# Never trained on, so that it can be seen whether words are understood one by one.
HELD_OUT_PAIRS = (
    ("village", "sunset"),
    ("canyon", "night"),
    ("beach", "dawn"),
    ("mountains", "autumn"),
    ("lake", "castle"),
    ("forest", "balloon"),
    ("field", "night"),
    ("desert", "rainbow"),
    ("city", "foggy"),
)


@dataclass(frozen=True)
class Thing:
    """A word of what is to be seen, such as `balloon`, and its color if it has one."""

    name: str
    color: str | None = None


@dataclass(frozen=True)
class Composition:
    """A scene in words; `facts` are what a caption may tell of it."""

    place: str
    time: str
    season: str
    weather: str
    sky_color: str
    things: tuple[Thing, ...] = ()
    place_color: str | None = None  # of a flower field

    def has(self, name: str) -> bool:
        return any(thing.name == name for thing in self.things)

    def color_of(self, name: str) -> str | None:
        """The color of the first thing called `name`."""
        return next((thing.color for thing in self.things if thing.name == name), None)

    @property
    def facts(self) -> tuple[Thing, ...]:
        """Everything that is to be seen, place first."""
        season = (Thing(self.season),) if self.place in SEASONS_OF else ()
        place = Thing(self.place, self.place_color)
        sky = Thing("sky", self.sky_color)
        return (place, Thing(self.time), *season, Thing(self.weather), sky, *self.things)

    @property
    def is_held_out(self) -> bool:
        """Whether it joins words that never meet in training."""
        names = {fact.name for fact in self.facts}
        return any(names >= set(pair) for pair in HELD_OUT_PAIRS)


def draw_composition(rng: np.random.Generator, held_out: bool = False) -> Composition:
    """A composition that training may see, or with `held_out` one that it never sees."""
    while True:
        composition = _draw(rng)
        if composition.is_held_out == held_out:
            return composition


def _draw(rng: np.random.Generator) -> Composition:
    place = _pick(rng, PLACES)
    time = _pick(rng, TIMES, (0.16, 0.38, 0.22, 0.24))
    season = _pick(rng, SEASONS_OF.get(place, ("summer",)))
    weather = _draw_weather(rng, season, time)
    things = [Thing(name) for name, chance in THINGS_OF[place].items() if rng.random() < chance]
    if season == "winter":
        things = [thing for thing in things if thing.name not in ("flowers", "tent", "river", "boat")]
        if place in ("mountains", "forest", "meadow", "village", "lake") and rng.random() < 0.3:
            things.append(Thing("snowman"))
    rng.shuffle(things)
    things = [*_draw_sky_things(rng, time, weather), *things[:3]]
    colored = tuple(replace(thing, color=_pick(rng, COLORS)) if thing.name in COLORED else thing for thing in things)
    place_color = _pick(rng, COLORS) if place == "field" else None
    return Composition(place, time, season, weather, _pick(rng, SKY_COLORS_OF[time]), colored, place_color)


def _draw_weather(rng: np.random.Generator, season: str, time: str) -> str:
    if season == "winter" and rng.random() < 0.35:
        return "snowfall"
    cloudy = 0.3 if time != "night" else 0.15
    return _pick(rng, WEATHERS[:4], (0.84 - cloudy, cloudy, 0.09, 0.07))


def _draw_sky_things(rng: np.random.Generator, time: str, weather: str) -> list[Thing]:
    """Sun or moon, stars, aurora and rainbow, where the weather lets them be seen."""
    if weather in ("foggy", "rainy", "snowfall"):
        if weather != "rainy" and rng.random() < 0.3:
            return [Thing("moon" if time == "night" else "sun")]
        return [Thing("rainbow")] if time != "night" and weather == "rainy" and rng.random() < 0.4 else []
    if time != "night":
        sun = [Thing("sun")] if rng.random() < (0.85 if time == "sunset" else 0.5) else []
        return sun or ([Thing("rainbow")] if rng.random() < 0.2 else [])
    things = [Thing("stars")] if weather == "clear" else []
    if weather == "clear" and rng.random() < 0.3:
        return [*things, Thing("aurora")]
    if rng.random() < 0.75:
        things.append(Thing("crescent" if rng.random() < 0.3 else "moon"))
    return things


def _pick(rng: np.random.Generator, choices: tuple[str, ...], chances: tuple[float, ...] | None = None) -> str:
    return choices[int(rng.choice(len(choices), p=chances))]
