"""A composition in an English sentence, worded differently each time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from .composition import PLACES, SEASONS, TIMES, WEATHERS, Composition, Thing

# Ways to say a word; the name itself is always one of them.
SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "mountains": ("mountain landscape", "alpine peaks"),
    "forest": ("woods",),
    "sea": ("ocean",),
    "beach": ("shore",),
    "desert": ("dunes",),
    "meadow": ("grassland",),
    "field": ("flower field",),
    "city": ("skyline",),
    "village": ("hamlet",),
    "dawn": ("sunrise", "early morning"),
    "sunset": ("dusk", "evening"),
    "summer": ("summertime",),
    "autumn": ("fall",),
    "winter": ("snowy",),
    "cloudy": ("clouds",),
    "foggy": ("misty", "fog"),
    "snowfall": ("snowing", "falling snow"),
    "rainy": ("rain",),
    "moon": ("full moon",),
    "crescent": ("crescent moon",),
    "aurora": ("northern lights",),
    "balloon": ("hot air balloon",),
    "boat": ("sailboat",),
    "cabin": ("cottage", "hut"),
    "birds": ("flock of birds",),
    "pines": ("pine trees", "fir trees"),
    "palm": ("palm tree", "palms"),
    "road": ("path",),
    "river": ("stream",),
    "campfire": ("bonfire",),
    "rocks": ("boulder",),
}


def tell(composition: Composition, rng: np.random.Generator, leave_out: float = 0.0) -> str:
    """A caption in which each fact but the place is left out with probability `leave_out`."""
    facts = [fact for fact in composition.facts if fact.name in PLACES or rng.random() >= leave_out]
    place = next(fact for fact in facts if fact.name in PLACES)
    season, time, weather = (_said(facts, names, rng) for names in (SEASONS, TIMES, WEATHERS))
    sky = [f"under a {fact.color} sky" for fact in facts if fact.name == "sky"]
    known = {*PLACES, *SEASONS, *TIMES, *WEATHERS, "sky"}
    things = [_worded(fact, rng) for fact in facts if fact.name not in known]
    match int(rng.integers(3)):
        case 0:
            head = " ".join([*season, _worded(place, rng), *(f"at {word}" for word in time)])
            return ", ".join([head, *weather, *sky, *(["with " + _listed(things)] if things else [])])
        case 1:
            head = " ".join([_worded(place, rng), *(f"in {word}" for word in season)])
            return ". ".join([head, *time, *weather, *([_listed(things)] if things else []), *sky])
        case _:
            return ", ".join([_worded(place, rng), *things, *sky, *time, *season, *weather])


def _said(facts: Sequence[Thing], names: Sequence[str], rng: np.random.Generator) -> list[str]:
    return [_worded(fact, rng) for fact in facts if fact.name in names]


def _worded(fact: Thing, rng: np.random.Generator) -> str:
    words = (fact.name, *SYNONYMS.get(fact.name, ()))
    word = words[int(rng.integers(len(words)))]
    return f"{fact.color} {word}" if fact.color else word


def _listed(things: Sequence[str]) -> str:
    return " and ".join([", ".join(things[:-1]), things[-1]] if len(things) > 1 else things)
