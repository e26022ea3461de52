"""What can be trained, and how its recipe changes for a GPU: larger batches, a higher rate, as many steps as fit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from taming.training.length import with_num_steps
from taming.training.recipe import Recipe, read_recipe

MARGIN = 0.1  # of the time, for evaluations and steps that are slower than they were in the rehearsal
EVALUATIONS = 4
MAX_LR_FACTOR = 1.5
LR_FACTOR_OF_TRAINED = 0.5  # for weights that are not from chance


@dataclass(frozen=True)
class Stage:
    """One of the embedded models."""

    preset: str
    batch_factor: int  # times the recipe's batch sizes: a GPU takes about as long for them
    reads: tuple[str, ...] = ()  # stages whose models it is trained on

    @property
    def weights_name(self) -> str:
        """What its weights are called in `.gpu` and on the GPU machine; a transformer records its tokenizer's name."""
        return f"{self.preset}.safetensors"


STAGES = {
    "tokenizer": Stage("landscapes_vqgan", 4),
    "map_tokenizer": Stage("landscapes_map_vqgan", 4),
    "words": Stage("landscapes_words", 8, ("tokenizer",)),
    "maps": Stage("landscapes_maps", 8, ("tokenizer", "map_tokenizer")),
    "boxes": Stage("landscapes_boxes", 8, ("tokenizer",)),
}
SETTINGS = {"tokenizer": "first_stage", "map_tokenizer": "condition.stage"}  # of a recipe that reads them


def read_stage_recipe(
    stage: Stage,
    overrides: Sequence[str],
    folders: Sequence[Path],
    init_from: Path | None = None,
    batch_factor: int | None = None,
) -> Recipe:
    """The preset of `stage` for a GPU; the number of steps is still the preset's.

    Args:
        folders: where the models that it reads, and photographs, are looked for; the first that has them counts.
        batch_factor: other than the stage's.

    Raises: ConfigError for an override that does not fit.
    """
    changes = ["export_dtype=float16"]
    changes += [f"{SETTINGS[name]}={find(folders, STAGES[name].weights_name)}" for name in stage.reads]
    if stage is STAGES["tokenizer"]:
        changes.append(f"data.folder={find(folders, 'photographs')}")
    if init_from is not None:
        changes.append(f"init_from={init_from}")
    recipe = read_recipe(stage.preset, [*changes, *overrides])
    return enlarge_batches(recipe, stage.batch_factor if batch_factor is None else batch_factor)


def find(folders: Sequence[Path], name: str) -> Path:
    """The path of `name` in the first folder that has it; in the last one, which an error then names, if none does."""
    return next((folder / name for folder in folders if (folder / name).exists()), folders[-1] / name)


def enlarge_batches(recipe: Recipe, factor: int) -> Recipe:
    """Batches `factor` times as large, at a rate that grows with the root of that, by half at most.

    What starts from trained weights learns at half of it, and its codebook is there from the first step.
    """
    phases = tuple(replace(phase, batch_size=phase.batch_size * factor) for phase in recipe.phases)
    lr = recipe.optimizer.lr * min(math.sqrt(factor), MAX_LR_FACTOR)
    loss = dict(recipe.loss)
    if recipe.init_from:
        lr *= LR_FACTOR_OF_TRAINED
        loss |= {"quantize_from": 0} if "quantize_from" in loss else {}
    return replace(recipe, phases=phases, loss=loss, optimizer=replace(recipe.optimizer, lr=lr), save_minutes=60.0)


def choose_num_steps(recipe: Recipe, step_seconds: Sequence[float], seconds: float) -> int:
    """How many steps fit into `seconds` less the margin, when those of each phase take `step_seconds`; at least 1."""
    shares = [phase.steps / recipe.num_steps for phase in recipe.phases]
    mean = sum(share * each for share, each in zip(shares, step_seconds, strict=True))
    return max(1, int(seconds * (1 - MARGIN) / mean))


def with_length(recipe: Recipe, num_steps: int) -> Recipe:
    """The recipe as a run of `num_steps`, with a few evaluations."""
    return replace(with_num_steps(recipe, num_steps), evaluate_every=max(1, -(-num_steps // EVALUATIONS)))


def rehearsal_recipe(recipe: Recipe, phase_number: int) -> Recipe:
    """An endless run of one phase as it is when all losses count, on few scenes."""
    starts = ("quantize_from", "adversarial_from", "adversarial_ramp", "discriminator_from")
    loss = {name: 0 if name in starts else value for name, value in recipe.loss.items()}
    endless = 10**8
    return replace(
        recipe,
        phases=(replace(recipe.phases[phase_number], steps=endless),),
        loss=loss,
        data=replace(recipe.data, count=min(recipe.data.count, 64), held_out=min(recipe.data.held_out, 16)),
        evaluate_every=endless,
    )
