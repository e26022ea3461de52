"""A recipe for a shorter or a longer run of the same shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .recipe import Recipe

LOSS_STEPS = ("quantize_from", "adversarial_from", "adversarial_ramp", "discriminator_from")
GUMBEL_STEPS = ("warmup_steps", "decay_steps")


def with_num_steps(recipe: Recipe, num_steps: int) -> Recipe:
    """The recipe as a run of `num_steps`: phases keep their shares, and what begins in a step begins in proportion.

    A phase whose share is less than half a step is left out.
    """
    factor = num_steps / recipe.num_steps
    phases, done, end = [], 0, 0
    for phase in recipe.phases:
        end += phase.steps
        steps = round(end * factor) - done
        done += steps
        if steps:
            phases.append(replace(phase, steps=steps))
    loss = _scaled(recipe.loss, LOSS_STEPS, factor)
    if isinstance(loss.get("gumbel"), Mapping):
        loss["gumbel"] = _scaled(loss["gumbel"], GUMBEL_STEPS, factor)
    warmup_steps = round(recipe.optimizer.warmup_steps * factor)
    optimizer = replace(recipe.optimizer, warmup_steps=warmup_steps)
    return replace(recipe, phases=tuple(phases), loss=loss, optimizer=optimizer)


def _scaled(values: Mapping[str, Any], names: tuple[str, ...], factor: float) -> dict[str, Any]:
    return {
        name: round(value * factor) if name in names and type(value) is int else value for name, value in values.items()
    }
