"""Names and colors of classes, published ones and our own, in the numbering that models were trained with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ...errors import ConfigError

PALETTES = ("ade20k", "coco_stuff", "sflckr", "scenes")  # those of segmentation maps, which have colors
VOCABULARIES = ("imagenet", *PALETTES, "coco_scenes", "open_images")


@dataclass(frozen=True)
class Vocabulary:
    """What the labels of a dataset stand for. Its text file says where the names and colors come from."""

    name: str
    names: tuple[str, ...]  # in label order, each only once, whatever its case
    colors: tuple[tuple[int, int, int], ...] = ()  # RGB, 0 to 255, in label order; empty when nobody draws the labels


@cache
def vocabulary(name: str) -> Vocabulary:
    """The vocabulary called `name`, read from its file when it is first asked for.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in VOCABULARIES:
        raise ConfigError(f"There is no vocabulary {name!r}. Known are {', '.join(VOCABULARIES)}.")
    text = Path(__file__).with_name(f"{name}.txt").read_text(encoding="ascii")
    rows = [line.partition("\t") for line in text.splitlines() if not line.startswith("#")]
    return Vocabulary(name, tuple(row[0] for row in rows), tuple(_color(row[2]) for row in rows if row[2]))


def _color(text: str) -> tuple[int, int, int]:
    red, green, blue = text.split()
    return int(red), int(green), int(blue)
