"""The configurations of published checkpoints that come with the library, as the loaders list them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from ..taming.configs import PUBLISHED

PREFIX = "published/"
TRANSFORMERS = "taming.models.cond_transformer."
TARGET = re.compile(r"^  target: *([\w.]+)$", re.MULTILINE)  # of the model; importing a parser of YAML takes long


def published_configs(family: Literal["vqgan", "transformer"]) -> dict[str, Path]:
    """Files by the names that a loader of `family` shows."""
    files = sorted(PUBLISHED.glob("*.yaml"))
    return {PREFIX + file.name: file for file in files if _is_transformer(file) == (family == "transformer")}


def _is_transformer(file: Path) -> bool:
    target = TARGET.search(file.read_text(encoding="utf-8"))
    return target is not None and target[1].startswith(TRANSFORMERS)
