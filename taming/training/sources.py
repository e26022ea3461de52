"""The files that a run learns from, told apart by what is in them: they may be moved while it is stopped."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..checkpoints import weights_file
from ..errors import ConfigError
from .datasets import Data
from .recipe import Recipe
from .resume import FILE_PATHS, PICTURE_PATHS, Changes, in_words, refusal

log = logging.getLogger(__name__)

PICTURES, QUICK = "pictures", "fingerprint"  # hashes of the pictures: by content, and by what costs nothing to look at
_BLOCK = 2**20
NEEDED_ON = ("first_stage", "condition.stage")  # files that a run reads tokens by, and not only when it begins


def read_sources(recipe: Recipe, data: Data) -> dict[str, str]:
    """Hashes of everything that `recipe` names by a path, for the state of a run."""
    files = {name: files_hash(paths) for name in FILE_PATHS if (paths := _paths(recipe, name))}
    return {PICTURES: data.contents_hash(), QUICK: data.training.fingerprint, **files}


def check_sources(before: Mapping[str, str], moved: Changes, recipe: Recipe, data: Data, out: Path) -> dict[str, str]:
    """Compare the hashes `before` with what is there now, where paths have `moved` or files may have been replaced.

    Returns the hashes as of now. Pictures in the same place may be changed, and the log says so.

    Raises: ConfigError if a moved path leads to something else, or tokens would mean something else.
    """
    now, wrong = dict(before), {}
    if before.get(QUICK) != data.training.fingerprint:
        now |= {PICTURES: data.contents_hash(), QUICK: data.training.fingerprint}
    for name in PICTURE_PATHS:
        if name in moved and now[PICTURES] != before.get(PICTURES):
            wrong[name] = f"{in_words(moved[name])}, where {_other('pictures', PICTURES in before)}"
    for name in FILE_PATHS:
        paths = _paths(recipe, name)
        if paths and (name in moved or name in NEEDED_ON):
            now[name] = files_hash(paths)
        if name in moved and now[name] != before.get(name):
            wrong[name] = f"{in_words(moved[name])}, which {_other('weights', name in before)}"
        elif now.get(name) != before.get(name, now.get(name)):
            wrong[name] = f"{paths[0]} holds other weights than when the run began"
    if wrong:
        raise ConfigError(refusal(out, recipe, wrong))
    for name, change in moved.items():
        log.info("%s: %s. What is there is the same, so the run goes on.", name, in_words(change))
    if PICTURES in before and now[PICTURES] != before[PICTURES]:
        log.warning("The pictures have changed since the run began; it goes on with those that are there now.")
    return now


def _other(what: str, is_known: bool) -> str:
    known = {"pictures": "the pictures are others", "weights": "holds other weights"}
    return known[what] if is_known else f"the {what} cannot be compared: the run began with an earlier version"


def _paths(recipe: Recipe, name: str) -> list[Path]:
    """The files that setting `name` of `recipe` names."""
    section, _, key = name.rpartition(".")
    holder = getattr(recipe, section) if section else recipe
    value = holder.get(key, "") if isinstance(holder, Mapping) else getattr(holder, key)
    files = [value] if isinstance(value, str) else value
    return [path for file in files if file and (path := weights_file(file)).is_file()]


def files_hash(paths: Sequence[Path]) -> str:
    """A hash of what is in the files, in their order."""
    return hashlib.sha256("".join(map(file_hash, paths)).encode()).hexdigest()


def file_hash(path: Path) -> str:
    """A hash of what is in the file at `path`."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
