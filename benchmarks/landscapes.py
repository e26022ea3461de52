"""Composed landscapes: images with all that can be seen in them, rendered once under runs/, and prompts for them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from itertools import count, islice

import numpy as np

from benchmarks import RUNS
from taming.data import SceneDataset, render_dataset
from taming.data.sample import Sample
from taming.data.scenes.captions import tell
from taming.data.scenes.composition import HELD_OUT_PAIRS, Composition, Thing
from taming.data.scenes.painting import PaintedScene, paint_scene

SIZE_PX = 256
SMALL_PX = 128  # of those that are rendered by the thousand
LEAVE_OUT = 0.4  # of the facts, in a prompt
PROBES = 12  # scenes of a set that are painted to see whether the painters have changed

Facts = tuple[Thing, ...]


@dataclass(frozen=True)
class Landscapes:
    """Images and what can be seen in them."""

    name: str  # of the set; another one if other painters painted it
    images: np.ndarray  # (N, S, S, 3) uint8
    facts: list[Facts]

    def first(self, num_scenes: int) -> Landscapes:
        return replace(self, images=self.images[:num_scenes], facts=self.facts[:num_scenes])


@dataclass(frozen=True)
class FactPainter:
    """Paints composed scenes whose captions list exactly what can be seen."""

    size_px: int
    first_seed: int

    class_names: tuple[str, ...] = ()
    box_names: tuple[str, ...] = ()

    def paint(self, index: int) -> Sample:
        scene = paint_scene(self.first_seed + index, self.size_px)
        return Sample(scene.image, caption=list_facts(scene.composition.facts))


def load_landscapes(first_seed: int, num_scenes: int, num_workers: int) -> Landscapes:
    """Scenes of SMALL_PX, memory-mapped; they are rendered where today's painters have not done so yet."""
    painter = FactPainter(SMALL_PX, first_seed)
    probes = range(0, num_scenes, max(1, num_scenes // PROBES))
    digest = hashlib.sha256(b"".join(painter.paint(index).image.tobytes() for index in probes)).hexdigest()[:8]
    folder = RUNS / f"landscapes-{SMALL_PX}px-{first_seed}-{num_scenes}-{digest}"
    if not (folder / "images.npy").exists():
        render_dataset(folder, painter, num_scenes, num_workers)
    dataset = SceneDataset(folder, painter)
    facts = [read_facts(dataset[index].caption or "") for index in range(len(dataset))]
    return Landscapes(folder.name, np.load(folder / "images.npy", mmap_mode="r"), facts)


def list_facts(facts: Facts) -> str:
    return ", ".join(f"{fact.color} {fact.name}" if fact.color else fact.name for fact in facts)


def read_facts(text: str) -> Facts:
    """What `list_facts` wrote."""
    words = (part.split() for part in text.split(", "))
    return tuple(Thing(name, *color) for *color, name in words)


def paint_landscapes(first_seed: int, num_scenes: int, is_held_out: bool = False) -> list[PaintedScene]:
    """Scenes of SIZE_PX; with `is_held_out` such as join words that never meet in training, both of which are seen."""
    scenes = (paint_scene(seed, SIZE_PX, is_held_out) for seed in count(first_seed))
    # A thing may have found no place.
    return list(islice((scene for scene in scenes if scene.composition.is_held_out == is_held_out), num_scenes))


@dataclass(frozen=True)
class Prompt:
    """A caption, and what it says of a scene."""

    text: str
    facts: Facts


@dataclass(frozen=True)
class Excerpt(Composition):
    """A composition of which only some facts are known."""

    known: Facts = ()

    @property
    def facts(self) -> Facts:
        return self.known


def write_prompt(composition: Composition, rng: np.random.Generator) -> Prompt:
    """A caption that leaves out facts, but never the place, nor words that do not meet in training."""
    needed = {Thing(composition.place, composition.place_color), *held_out_facts(composition.facts)}
    facts = tuple(fact for fact in composition.facts if fact in needed or rng.random() >= LEAVE_OUT)
    return Prompt(tell(Excerpt(**vars(composition), known=facts), rng), facts)


def held_out_facts(facts: Facts) -> Facts:
    """Those facts whose words never meet in training."""
    names = {fact.name for fact in facts}
    apart = {name for pair in HELD_OUT_PAIRS if names >= set(pair) for name in pair}
    return tuple(fact for fact in facts if fact.name in apart)
