"""The data that a recipe names: pictures of one's own, or procedural scenes; and what is held out of it."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from ..data import (
    BoxedPictures,
    ClassPainter,
    CompositionPainter,
    Concatenated,
    Dataset,
    MappedPictures,
    PictureCache,
    SceneDataset,
    ScenePainter,
    Subset,
    SwatchDataset,
    open_pictures,
    render_dataset,
)
from .recipe import DataSettings

log = logging.getLogger(__name__)

LARGEST_SHARE = 10  # at most every tenth picture of a folder is held out


@dataclass(frozen=True)
class Data:
    """What a run learns from, and what it is measured on."""

    training: Dataset
    held_out: Dataset
    box_names: tuple[str, ...] = ()  # what the labels of their boxes are called
    contents: Callable[[], str] | None = None  # hashes the files that all of it comes from, wherever they lie

    def contents_hash(self) -> str:
        """A hash of what is learned from; of data that comes from no files, its fingerprint."""
        return self.training.fingerprint if self.contents is None else self.contents()


def open_data(
    settings: DataSettings, cache: Path, num_workers: int = 1, check: Callable[[], None] = lambda: None
) -> Data:
    """Open what `settings` name; decoded pictures and rendered scenes are kept in folder `cache`.

    `check` is called again and again while they are made; what it raises ends that.

    Raises: TamingError if there is nothing to train on.
    """
    data = _open_images(settings, cache, num_workers, check)
    if not settings.swatches:
        return data
    swatches = SwatchDataset(settings.swatches, settings.size_px, settings.first_seed)
    # Figures stay those of the other images, which lose their labels as the ones trained on do.
    training, held_out = Concatenated((data.training, swatches)), Concatenated((data.held_out,))
    return Data(training, held_out, contents=data.contents)


def _open_images(settings: DataSettings, cache: Path, num_workers: int, check: Callable[[], None]) -> Data:
    """Pictures and scenes, as in `open_data`."""

    def scenes(first_seed: int, count: int) -> SceneDataset:
        painter = scene_painter(settings, first_seed)
        digest = hashlib.sha256(repr(painter).encode()).hexdigest()[:8]
        folder = cache / f"{settings.scenes}-{settings.size_px}px-{first_seed}-{count}-{digest}"
        if not (folder / "images.npy").exists():
            render_dataset(folder, painter, count, num_workers, check)
        return SceneDataset(folder, painter, settings.has_maps)

    if not settings.folder:
        training = scenes(settings.first_seed, settings.count)
        held_out = scenes(settings.held_out_seed, settings.held_out)
        box_names = scene_painter(settings, 0).box_names if settings.has_maps else ()
        return Data(training, held_out, box_names, lambda: "scenes")  # the recipe says all about them
    pictures = open_pictures(
        settings.folder, settings.labels, settings.min_px, PictureCache(cache, settings.size_px, check)
    )
    if settings.boxes:
        boxed = BoxedPictures(pictures, settings.boxes)
        parts = split(boxed, settings.held_out)
        return replace(parts, box_names=boxed.box_names, contents=partial(boxed.contents_hash, check))
    if settings.maps:
        mapped = MappedPictures(pictures, settings.maps, settings.map_kind)
        return replace(split(mapped, settings.held_out), contents=partial(mapped.contents_hash, check))
    parts = replace(split(pictures, settings.held_out), contents=partial(pictures.contents_hash, check))
    if not settings.with_scenes:
        return parts
    return Data(
        Concatenated((parts.training, scenes(settings.first_seed, settings.count))),
        Concatenated((parts.held_out, scenes(settings.held_out_seed, settings.held_out))),
        contents=parts.contents,
    )


def scene_painter(settings: DataSettings, first_seed: int) -> ScenePainter:
    """What paints the scenes that `settings` name."""
    if settings.scenes == "compositions":
        return CompositionPainter(settings.size_px, first_seed)
    return ClassPainter(settings.size_px, first_seed, settings.num_objects)


def split(pictures: Dataset, held_out: int) -> Data:
    """Hold out `held_out` pictures, evenly spread, so that they show all of a folder that is sorted."""
    count = min(held_out, len(pictures) // LARGEST_SHARE)
    if not count:
        log.warning("%d pictures are too few to hold some out: figures are of those trained on.", len(pictures))
        return Data(pictures, pictures)
    chosen = {len(pictures) * (2 * part + 1) // (2 * count) for part in range(count)}
    rest = [index for index in range(len(pictures)) if index not in chosen]
    return Data(Subset(pictures, rest), Subset(pictures, sorted(chosen)))
