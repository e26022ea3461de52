"""The models that come with the library, under the names that every loader knows: `embedded/<file>`."""

from __future__ import annotations

import os
from pathlib import Path

from .keymaps import Family

ASSETS = Path(__file__).resolve().parent.parent / "assets"
PREFIX = "embedded/"


def embedded_models(family: Family) -> dict[str, Path]:
    """The files of the embedded models of `family`, by name."""
    return {PREFIX + path.name: path for path in sorted(ASSETS.glob(f"*_{family}.safetensors"))}


def weights_file(path: str | os.PathLike[str]) -> Path:
    """The file that `path` stands for: an embedded model by its name, anything else as it is."""
    path = Path(path)
    asset = ASSETS / path.name
    return asset if path.as_posix() == PREFIX + path.name and asset.is_file() and not path.exists() else path
