"""Taking one model out of a file that may hold several: a whole Net2Net checkpoint holds two or three."""

from __future__ import annotations

import re

from torch import Tensor

from ..errors import UnsupportedCheckpointError
from ..wording import shorten
from .averages import with_averages
from .keymaps import ANCHORS, OTHER_FAMILIES, OTHER_VQGANS, PREFIXES, TRAINING_ONLY, Family
from .layouts import in_published_layout
from .read import Checkpoint

NODES: dict[Family, str] = {
    "vqgan": "a VQGAN goes to the Load VQGAN node (load_vqgan)",
    "transformer": "a transformer checkpoint goes to the Load Token Transformer node (load_transformer)",
}


def holds(checkpoint: Checkpoint, family: Family) -> bool:
    """Whether a model of `family` is in the file, alone or as a part."""
    return _find_prefix(checkpoint, family) is not None


def take_part(checkpoint: Checkpoint, family: Family) -> dict[str, Tensor]:
    """The weights of the model of `family`, under the published keys without a prefix, whatever the file calls them.

    What lies outside the prefix belongs to other models of the same file and is left out.

    Raises: UnsupportedCheckpointError if there is none, saying what the file holds instead.
    """
    prefix = _find_prefix(checkpoint, family)
    if prefix is None:
        raise UnsupportedCheckpointError(_describe(checkpoint, family))
    return take_vqgan_at(checkpoint, prefix) if family == "vqgan" else _take(checkpoint, prefix)


def take_vqgan_at(checkpoint: Checkpoint, prefix: str) -> dict[str, Tensor]:
    """The weights of the VQGAN whose keys begin with `prefix`, as `take_part` gives them.

    Raises: UnsupportedCheckpointError if it is of a kind that is not built here.
    """
    return _published_vqgan(_take(checkpoint, prefix), checkpoint.path.name)


def _take(checkpoint: Checkpoint, prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): tensor for key, tensor in checkpoint.state_dict.items() if key.startswith(prefix)}


def without_training_keys(weights: dict[str, Tensor], family: Family) -> dict[str, Tensor]:
    """`weights` without discriminators, losses and other keys that only training used."""
    training_only = re.compile(TRAINING_ONLY[family], re.DOTALL)
    return {key: tensor for key, tensor in weights.items() if not training_only.fullmatch(key)}


def _published_vqgan(weights: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    weights = in_published_layout(with_averages(weights), name)
    for pattern, meaning in OTHER_VQGANS.items():
        found = next((key for key in weights if re.fullmatch(pattern, key, re.DOTALL)), None)
        if found is not None:
            raise UnsupportedCheckpointError(f"{name} holds {meaning}: this version cannot use it ({shorten(found)}).")
    return weights


def _find_prefix(checkpoint: Checkpoint, family: Family) -> str | None:
    return next((prefix for prefix in PREFIXES[family] if prefix + ANCHORS[family] in checkpoint.state_dict), None)


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
