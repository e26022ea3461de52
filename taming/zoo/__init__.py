"""The zoo: what is known of every published checkpoint, from `models.json`."""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..configs import config_from_dict
from ..errors import ConfigError
from ..text import shorten

MODELS_FILE = Path(__file__).with_name("models.json")


@dataclass(frozen=True)
class ZooModel:
    """One published checkpoint; None is "not known", never a guess."""

    name: str
    kind: Literal["vqgan", "transformer"]
    family: str  # tokenizers: who published it; transformers: what it is told
    purpose: str  # one sentence, for people
    configuration: str  # the name of its published YAML, or the facts of it
    parameters: int | None  # of the model alone, without losses and optimizers
    size: str | None  # of the file: "1,234 bytes" where known to the byte, else rounded as its host shows it, "281 MB"
    license: str | None
    source: str  # the page to read before downloading
    url: str | None  # of the file itself
    sha256: str | None
    file: str  # the name to keep it under
    folder: Literal["vqgan", "taming_transformers"]  # below ComfyUI's `models`
    note: str | None  # what else one must know to get it or use it

    def __post_init__(self) -> None:
        checks = {
            "name": re.fullmatch(r"[a-z0-9_]+", self.name),
            "size": self.size is None or re.fullmatch(r"[\d,]+ bytes|[\d.]+ [MG]B", self.size),
            "sha256": self.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", self.sha256),
            "file": re.fullmatch(r"[\w-][\w.-]*\.(ckpt|pt|bin|safetensors)", self.file),
        }
        for field, is_well_formed in checks.items():
            if not is_well_formed:
                raise ConfigError(f"{field} {shorten(getattr(self, field))} is malformed.")

    @property
    def size_bytes(self) -> int | None:
        """Size of the file where it is known to the byte."""
        if self.size is None or not self.size.endswith(" bytes"):
            return None
        return int(self.size.removesuffix(" bytes").replace(",", ""))


def read_zoo(path: Path = MODELS_FILE) -> tuple[ZooModel, ...]:
    """Every model of the zoo, in the order of the file.

    Raises: ConfigError if the file is malformed or a name comes twice.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path.name} is not valid JSON ({error}): mend it.") from error
    models = tuple(config_from_dict(ZooModel, entry, f"{path.name}: entry {i}") for i, entry in enumerate(entries))
    names = [model.name for model in models]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ConfigError(f"{path.name} has {', '.join(sorted(twice))} more than once: keep one.")
    return models


def find_model(name: str) -> ZooModel:
    """The model called `name`.

    Raises: ConfigError if there is none, with the nearest names.
    """
    models = {model.name: model for model in read_zoo()}
    if name in models:
        return models[name]
    close = difflib.get_close_matches(name[:100].lower(), models, n=3, cutoff=0.4)
    hint = f"Did you mean {', '.join(close)}?" if close else "`python -m taming download` lists them all."
    raise ConfigError(f"The zoo has no model {shorten(name)}. {hint}")
