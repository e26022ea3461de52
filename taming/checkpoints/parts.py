"""Taking one model out of a file that may hold several: a whole Net2Net checkpoint holds two or three."""

from __future__ import annotations

import logging
import re
from dataclasses import replace

from torch import Tensor

from ..errors import UnsupportedCheckpointError
from ..text import shorten
from .keymaps import ANCHORS, OTHER_FAMILIES, OTHER_VQGANS, TRAINING_ONLY, USED_KEY, Family
from .layouts import in_published_layout
from .places import Place, find_condition, find_incomplete, find_inner, find_place, find_prefixes
from .read import Checkpoint
from .select_ema import with_averages

NODES: dict[Family, str] = {
    "vqgan": "a VQGAN goes to the Load VQGAN node (load_vqgan)",
    "transformer": "a transformer checkpoint goes to the Load Token Transformer node (load_transformer)",
}


log = logging.getLogger(__name__)


def holds(checkpoint: Checkpoint, family: Family) -> bool:
    """Whether a model of `family` is in the file, alone or as a part."""
    return bool(find_prefixes(set(checkpoint.state_dict), family))


def take_part(checkpoint: Checkpoint, family: Family) -> dict[str, Tensor]:
    """The weights of the model of `family`, under the published keys without a prefix, whatever the file calls them.

    What lies outside the prefix belongs to other models of the same file and is left out.

    Raises: UnsupportedCheckpointError if there is none, saying what the file holds instead, or more than one.
    """
    place = find_place(checkpoint.state_dict, family, checkpoint.path)
    if place is None:
        incomplete = find_incomplete(set(checkpoint.state_dict), family)
        if incomplete is None:
            raise UnsupportedCheckpointError(_describe(checkpoint, family))
        place = Place(incomplete)
    weights = _take(checkpoint, place)
    return _published_vqgan(weights, place.prefix, checkpoint.path.name) if family == "vqgan" else weights


def take_condition(checkpoint: Checkpoint) -> dict[str, Tensor] | None:
    """The weights of the VQGAN that makes tokens of a transformer's maps, as `take_part` gives them; None without one.

    Raises: UnsupportedCheckpointError if it is of a kind that is not built here.
    """
    prefix = find_condition(checkpoint.state_dict)
    if prefix is None:
        return None
    return _published_vqgan(_take(checkpoint, Place(prefix)), prefix, checkpoint.path.name)


def count_used(checkpoint: Checkpoint) -> int:
    """How many codes a remapped first stage uses; 0 without a remap."""
    place = find_place(checkpoint.state_dict, "vqgan", checkpoint.path)
    prefixes = () if place is None else (place.prefix, place.last)
    found = (checkpoint.state_dict.get(prefix + USED_KEY) for prefix in prefixes if prefix is not None)
    return next((used.numel() for used in found if used is not None), 0)


def without_others(checkpoint: Checkpoint, prefix: str) -> Checkpoint:
    """`checkpoint` without the models of the same family as the one under `prefix`.

    Raises: UnsupportedCheckpointError if there is none.
    """
    state_dict = checkpoint.state_dict
    places = [find_prefixes(set(state_dict), family) for family in ANCHORS]
    others = [other for prefixes in places if prefix in prefixes for other in prefixes if other != prefix]
    if not any(prefix in prefixes for prefixes in places):
        known = ", ".join(f"'{place}'" for prefixes in places for place in prefixes)
        raise UnsupportedCheckpointError(
            f"{checkpoint.path.name} holds no model under {shorten(prefix)}; found: {known or 'none'}."
        )
    kept = {key: tensor for key, tensor in state_dict.items() if not key.startswith(tuple(others))}
    return replace(checkpoint, state_dict=kept)


def _take(checkpoint: Checkpoint, place: Place) -> dict[str, Tensor]:
    """The weights at `place` without its prefix; what has no running average is as it was last."""
    inner = find_inner(set(checkpoint.state_dict), place.prefix)
    keys = [key for key in checkpoint.state_dict if key.startswith(place.prefix) and not key.startswith(inner)]
    weights = {key.removeprefix(place.prefix): checkpoint.state_dict[key] for key in keys}
    if place.last is None:
        return weights
    log.info(
        "%s: the running averages of the weights (%s*) are used, not the last ones (%s*).",
        *(checkpoint.path.name, place.prefix, place.last),
    )
    return _take(checkpoint, Place(place.last)) | weights


def without_training_keys(weights: dict[str, Tensor], family: Family) -> dict[str, Tensor]:
    """`weights` without discriminators, losses and other keys that only training used."""
    training_only = re.compile(TRAINING_ONLY[family], re.DOTALL)
    return {key: tensor for key, tensor in weights.items() if not training_only.fullmatch(key)}


def _published_vqgan(weights: dict[str, Tensor], prefix: str, name: str) -> dict[str, Tensor]:
    weights = in_published_layout(with_averages(weights, prefix, name), name)
    for pattern, meaning in OTHER_VQGANS.items():
        found = next((key for key in weights if re.fullmatch(pattern, key, re.DOTALL)), None)
        if found is not None:
            raise UnsupportedCheckpointError(f"{name} holds {meaning}: this version cannot use it ({shorten(found)}).")
    return weights


def _describe(checkpoint: Checkpoint, wanted: Family) -> str:
    """Why `wanted` is not in the file, and where the file belongs if that is known."""
    name = checkpoint.path.name
    title = "VQGAN" if wanted == "vqgan" else "transformer"
    other: Family = "transformer" if wanted == "vqgan" else "vqgan"
    for pattern, meaning in OTHER_FAMILIES.items():
        if any(re.fullmatch(pattern, key, re.DOTALL) for key in checkpoint.state_dict):
            return f"{name} holds {meaning}, not a {title} that this version reads."
    if holds(checkpoint, other):
        return f"{name} holds no {title}: {NODES[other]}."
    return (
        f"{name} has no '{ANCHORS[wanted]}', so it is not a {title} "
        f"(first keys: {shorten(list(checkpoint.state_dict)[:3])})."
    )
