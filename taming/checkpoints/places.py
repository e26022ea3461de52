"""Where in a state dict a model lies: under any prefix that has a whole one, whatever a program called it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import UnsupportedCheckpointError
from ..text import shorten_text
from .advice import convert_command
from .keymaps import ANCHORS, CODEBOOK_KEYS, PREFIXES, Family

# Of each group, a whole model has one key; it also has the anchor of its family.
WHOLE: dict[Family, tuple[tuple[str, ...], ...]] = {
    "vqgan": (("decoder.conv_out.weight",), CODEBOOK_KEYS),
    "transformer": (("head.weight",), ("pos_emb",)),
}
CONDITIONS = {"cond_stage_model", "cond_stage"}  # the component of a prefix that is a condition's, not the model's own
# What distributed, compiled and checkpointed modules put before the names of what they wrap, at any depth.
MODULE_WRAPPERS = re.compile(
    r"(?:^|(?<=\.))(?:module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module|_forward_module)\."
)
AVERAGED = re.compile(r"(.+_)?(ema|swa|avg|averages?|averaged|shadow)(_.+)?")  # a component that says so
MAPPINGS = re.compile(r"^((model_)?state_dict\.)+")  # names of mappings, which say nothing about what is in them


@dataclass(frozen=True)
class Place:
    """Where one model lies."""

    prefix: str
    last: str | None = None  # the prefix of its last weights, where `prefix` is that of their running averages


def find_place(keys: Iterable[str], family: Family, path: Path) -> Place | None:
    """The place of the model of `family` among the `keys` of the file at `path`; None if there is none.

    Of several, those of conditions and those inside another one are left out, running averages come before last
    weights, and prefixes of published files before others.

    Raises: UnsupportedCheckpointError if several are left.
    """
    every = find_prefixes(set(keys), family)
    averaged = _outermost([prefix for prefix in every if _is_averaged(prefix)])
    last = _outermost([prefix for prefix in every if not _is_averaged(prefix)])
    chosen = _choose(averaged or last, family, path)
    if chosen is None:
        return None
    is_known = len(last) == 1 or (last and _is_published(last[0], family))
    return Place(chosen, last[0] if averaged and is_known else None)


def find_prefixes(keys: set[str], family: Family) -> list[str]:
    """The prefixes under which a whole model of `family` lies, or a part of one where published files have it."""
    found = [prefix for prefix in _anchored(keys, family) if not _is_condition(prefix)]
    whole = [prefix for prefix in found if _is_whole(keys, prefix, family)]
    return whole or [prefix for prefix in found[:1] if _is_published(prefix, family)]


def find_inner(keys: set[str], prefix: str) -> tuple[str, ...]:
    """The prefixes of all models that lie inside the one under `prefix`."""
    every = [find_condition(keys), *(found for family in ANCHORS for found in find_prefixes(keys, family))]
    return tuple(other for other in every if other is not None and other != prefix and other.startswith(prefix))


def find_incomplete(keys: set[str], family: Family) -> str | None:
    """A prefix under which a part of a model of `family` lies, for saying what it lacks."""
    return next((prefix for prefix in _anchored(keys, family) if prefix == "" or prefix.endswith(".")), None)


def find_condition(keys: Iterable[str]) -> str | None:
    """The prefix of the VQGAN that makes tokens of a transformer's maps; None if there is none."""
    prefixes = _anchored(set(keys), "vqgan")
    found = [prefix for prefix in prefixes if _is_condition(prefix)]
    return next((prefix for prefix in found if not _is_averaged(prefix)), None)


def _anchored(keys: set[str], family: Family) -> list[str]:
    """What stands before the anchor of `family`, published prefixes first."""
    anchor = ANCHORS[family]
    return sorted(
        (key.removesuffix(anchor) for key in keys if key.endswith(anchor)),
        key=lambda prefix: (_rank(prefix, family), prefix),
    )


def _rank(prefix: str, family: Family) -> int:
    """The place of `prefix` among those of published files; their number if it is not one of them."""
    known = PREFIXES[family]
    bare = MODULE_WRAPPERS.sub("", MAPPINGS.sub("", prefix))
    return known.index(bare) if bare in known else len(known)


def _is_published(prefix: str, family: Family) -> bool:
    return _rank(prefix, family) < len(PREFIXES[family])


def _is_whole(keys: set[str], prefix: str, family: Family) -> bool:
    return all(any(prefix + key in keys for key in group) for group in WHOLE[family])


def _is_condition(prefix: str) -> bool:
    return not CONDITIONS.isdisjoint(prefix.split("."))


def _is_averaged(prefix: str) -> bool:
    return any(AVERAGED.fullmatch(component) for component in prefix.split("."))


def _outermost(prefixes: list[str]) -> list[str]:
    """Those of `prefixes` that do not lie inside another one."""
    return [p for p in prefixes if not any(p != other and p.startswith(other) for other in prefixes)]


def _choose(prefixes: list[str], family: Family, path: Path) -> str | None:
    """The only one of `prefixes`, or the one that published files have first; None if there are none."""
    if len(prefixes) < 2 or _is_published(prefixes[0], family):
        return next(iter(prefixes), None)
    title = "VQGANs" if family == "vqgan" else "transformers"
    shown = ", ".join(f"'{shorten_text(prefix)}'" for prefix in prefixes[:4]) + ", ..." * (len(prefixes) > 4)
    raise UnsupportedCheckpointError(
        f"{path.name} holds {len(prefixes)} {title}, under {shown}, and does not say which one is meant. Take one out, "
        f"such as the first: '{convert_command(path, prefixes[0])}'."
    )
