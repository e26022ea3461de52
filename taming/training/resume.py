"""Whether a run can go on by a recipe: what of it may change on the way, and what follows from another length."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

from torch import nn

from ..configs import config_from_dict
from ..errors import ConfigError
from ..text import shorten_error
from .length import GUMBEL_STEPS, LOSS_STEPS
from .optim import rate_at
from .recipe import Recipe
from .state import MAY_CHANGE, MODEL_FILE, STATE_FILE, read_state, start_from

log = logging.getLogger(__name__)

# Those that say how long a run is, and when in it something begins.
LENGTHS = re.compile(
    rf"phases\[\d+\]\.\w+|optimizer\.warmup_steps|loss\.({'|'.join(LOSS_STEPS)})|loss\.gumbel\.({'|'.join(GUMBEL_STEPS)})"
)
BEGINNINGS = ("loss.quantize_from", "loss.adversarial_from", "loss.discriminator_from")
# Those that name files, which may lie elsewhere now.
PICTURE_PATHS = ("data.folder", "data.labels", "data.maps", "data.boxes")
FILE_PATHS = ("first_stage", "init_from", "condition.stage", "loss.lpips")
MOST_NAMED = 10  # differences in one message
LONGEST, CONTEXT = 160, 20  # characters of a value, and of what is the same before a difference
NOT_GIVEN = object()

Changes = dict[str, tuple[object, object]]  # by dotted name: before, now


@dataclass(frozen=True)
class BegunRun:
    """What is known of a run without looking at its weights."""

    step: int  # steps that it has taken
    recipe: Recipe
    has_older_model: bool  # model.safetensors is not of this run, or of before it went on longer

    @classmethod
    def of(cls, state: Mapping[str, Any], path: Path) -> BegunRun:
        """That of `state`, which is from `path`.

        Raises: ConfigError if its recipe is none of this version.
        """
        try:
            recipe = config_from_dict(Recipe, state["recipe"], "recipe")  # older versions stored fewer settings
        except ConfigError as error:
            raise ConfigError(
                f"The state {path} is of another version, with a recipe that this one does not know "
                f"({shorten_error(error)}). Continue it with that version, or give the run a new folder."
            ) from error
        return cls(state["step"], recipe, bool(state.get("has_older_model")))


def check_run(recipe: Recipe, out: Path) -> BegunRun | None:
    """The run in folder `out`, if there is one, which `recipe` may continue; whether files have moved is not looked at.

    It takes no time, so it comes before data and models are opened.

    Raises: TamingError if its state is damaged, or `recipe` is another than it began with.
    """
    path = out / STATE_FILE
    state = read_state(path, recipe.task, with_weights=False)
    if state is None:
        return None
    begun = BegunRun.of(state, path)
    check_recipe(begun, recipe, out)
    return begun


def is_finished(recipe: Recipe, out: Path) -> bool:
    """Whether `recipe` leaves nothing to do of the run in folder `out`: to train, to compare, or to export.

    Raises: what `check_run` raises.
    """
    begun = check_run(recipe, out)
    if begun is None or begun.step < recipe.num_steps or begun.has_older_model or check_recipe(begun, recipe, out):
        return False
    return (out / MODEL_FILE).is_file()


def check_recipe(begun: BegunRun, recipe: Recipe, out: Path) -> Changes:
    """Compare `recipe` with that of the run in folder `out`; returns the paths that differ, for `check_sources`.

    Raises: ConfigError if anything else differs than what may change, a longer run included.
    """
    changes = differences(asdict(begun.recipe), asdict(recipe))
    changes = {name: change for name, change in changes.items() if name not in MAY_CHANGE}
    if is_other_length(begun.recipe, recipe):
        changes = {name: change for name, change in changes.items() if not LENGTHS.fullmatch(name)}
    moved = {name: change for name, change in changes.items() if name in PICTURE_PATHS + FILE_PATHS and all(change)}
    others = {name: change for name, change in changes.items() if name not in moved}
    if others:
        raise ConfigError(refusal(out, recipe, {name: in_words(change) for name, change in others.items()}))
    if recipe.num_steps < begun.step:
        raise ConfigError(
            f"The run in {out} has taken {begun.step} steps already, and the recipe is for {recipe.num_steps}. Give it "
            f"{begun.step} steps or more, or give the run a new folder."
        )
    return moved


def check_model(before: Mapping[str, Any] | None, model: nn.Module, recipe: Recipe, out: Path) -> None:
    """Compare the configuration of `model`, which data and tokenizers have a part in, with what it was.

    Raises: ConfigError if they differ, as when a class was added to the pictures.
    """
    now = model_config(model)
    if before is None or now is None:  # an older state, or a model without a configuration
        return
    changes = differences({key: before[key] for key in before.keys() & now.keys()}, now)
    named = {
        name if name.startswith("condition.") else f"model.{name}": in_words(change)
        for name, change in changes.items()
        if change[0] is not NOT_GIVEN  # of a newer version's
    }
    if named:
        raise ConfigError(refusal(out, recipe, named))


def model_config(model: nn.Module) -> dict[str, Any] | None:
    """The configuration that `model` was built by, as plain values."""
    config = getattr(model, "config", None)
    return asdict(config) if is_dataclass(config) and not isinstance(config, type) else None


def refusal(out: Path, recipe: Recipe, changes: Mapping[str, str]) -> str:
    """Why `recipe` cannot continue the run in `out`, and how to go on."""
    named = [f"{name}: {words}" for name, words in list(changes.items())[:MOST_NAMED]]
    if len(changes) > MOST_NAMED:
        named.append(f"and {len(changes) - MOST_NAMED} more")
    old, new = ("values", "ones") if len(changes) > 1 else ("value", "one")
    fits = not any(re.match(r"(task|first_stage)$|model\b", name) for name in changes)
    override = start_from(out / MODEL_FILE, recipe.task) if fits else ""
    beginning = f", with {override} to begin with what it has learned" if override else ""
    return (
        f"{out} holds a run of another recipe: {'; '.join(named)}. Give the old {old} back to go on with it; or, for "
        f"the new {new}, give the run a new folder{beginning}."
    )


def in_words(change: tuple[object, object]) -> str:
    """`before -> now`; of long values what is around their first difference."""
    before, now = ("not given" if value is NOT_GIVEN else ascii(value) for value in change)
    start = 0
    if max(len(before), len(now)) > LONGEST:
        start = max(0, len(os.path.commonprefix([before, now])) - CONTEXT)
    return f"{_cut(before, start)} -> {_cut(now, start)}"


def _cut(text: str, start: int) -> str:
    end = start + LONGEST
    return "..." * (start > 0) + text[start:end] + "..." * (len(text) > end)


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Changes:
    """Where two nested configurations differ, by the dotted names of their values."""
    old, new = _flat(before), _flat(now)
    pairs = {name: (old.get(name, NOT_GIVEN), new.get(name, NOT_GIVEN)) for name in {**old, **new}}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _flat(value: object, name: str = "") -> dict[str, object]:
    if isinstance(value, Mapping) and value:
        parts = {f"{name}.{key}".removeprefix("."): item for key, item in value.items()}
    elif isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value):
        parts = {f"{name}[{number}]": item for number, item in enumerate(value)}
    else:
        return {name: _as_lists(value)}
    return {inner: item for key, part in parts.items() for inner, item in _flat(part, key).items()}


def _as_lists(value: object) -> object:
    """YAML and a state file differ in whether a sequence is a list or a tuple."""
    return [_as_lists(item) for item in value] if isinstance(value, list | tuple) else value


def is_other_length(before: Recipe, now: Recipe) -> bool:
    """Whether the recipes are for runs of different lengths whose phases are alike; a phase more or less is, too."""
    shapes = [[(phase.batch_size, phase.crop_px) for phase in recipe.phases] for recipe in (before, now)]
    shorter, longer = sorted(shapes, key=len)
    rest = iter(longer)
    return before.num_steps != now.num_steps and all(shape in rest for shape in shorter)  # a subsequence


def report_length(begun: BegunRun, recipe: Recipe) -> None:
    """Log what another length means for the rest of a run."""
    if recipe.num_steps == begun.recipe.num_steps:
        return
    before, step = begun.recipe, begun.step
    log.info(
        "It was a run of %d steps and is one of %d now. From here on, learning rate, phases and whatever begins in a "
        "step are those of a run of that length.",
        before.num_steps,
        recipe.num_steps,
    )
    if 0 < step < recipe.num_steps:
        last = rate_at(before.optimizer, step - 1, before.num_steps)
        following = rate_at(recipe.optimizer, step, recipe.num_steps)
        log.info("The learning rate was %.3g last and goes on with %.3g.", last, following)
    changes = differences(asdict(before), asdict(recipe))
    for name, change in changes.items():
        if LENGTHS.fullmatch(name):
            log.info("%s: %s", name, in_words(change))
    for name in BEGINNINGS:
        old, new = changes.get(name, (None, None))
        if isinstance(old, int) and isinstance(new, int) and old < step < new:
            log.warning(
                "%s lies ahead again, at %d: a run of %d steps does without until then. Set it for yourself to keep "
                "what has begun at %d.",
                name,
                new,
                recipe.num_steps,
                old,
            )
