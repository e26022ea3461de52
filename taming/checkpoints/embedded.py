"""The models that come with the library, under the names that every loader knows: `embedded/<file>`."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path

from ..user_text import user_path
from .keymaps import Family

ASSETS = Path(__file__).resolve().parent.parent / "assets"
PREFIX = "embedded/"
# What came with earlier versions, and what does its work now.
REPLACED: Mapping[str, str] = {
    "scenes_vqgan.safetensors": "landscapes_vqgan.safetensors",
    "scenes_class_transformer.safetensors": "landscapes_words_transformer.safetensors",
    "scenes_segmentation_transformer.safetensors": "landscapes_maps_transformer.safetensors",
}

log = logging.getLogger(__name__)


def embedded_models(family: Family) -> dict[str, Path]:
    """The files of the embedded models of `family`, by name."""
    return {PREFIX + path.name: path for path in sorted(ASSETS.glob(f"*_{family}.safetensors"))}


def replaced_models(family: Family) -> dict[str, Path]:
    """The names of models that are embedded no more, and the files that replace them."""
    names = {old: new for old, new in REPLACED.items() if not (ASSETS / old).is_file()}
    return {
        PREFIX + old: ASSETS / new
        for old, new in names.items()
        if old.endswith(f"_{family}.safetensors") and (ASSETS / new).is_file()
    }


def weights_file(path: str | os.PathLike[str]) -> Path:
    """The file that `path` stands for: an embedded model by its name, anything else as `user_path` reads it.

    The name of a model that was replaced leads to its replacement, and the log says so.
    """
    path = user_path(path)
    if path.as_posix() != PREFIX + path.name or path.exists():
        return path
    asset = ASSETS / path.name
    if asset.is_file():
        return asset
    replacement = ASSETS / REPLACED.get(path.name, path.name)
    if not replacement.is_file():
        return path
    log.warning("%s was replaced by %s, which draws larger images of more kinds.", path.name, replacement.name)
    return replacement
