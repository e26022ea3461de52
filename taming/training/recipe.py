"""A training recipe: every number that a run depends on, read from YAML."""

from collections.abc import Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

from ..configs import read_preset
from ..errors import ConfigError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

TaskName = Literal["vqgan", "vqgan_decoder", "transformer"]
T = TypeVar("T", bound="DataclassInstance")


@dataclass(frozen=True)
class SceneData:
    """Which procedural scenes to train on, and which to hold out; seeds count up from the first."""

    count: int = 24_000
    first_seed: int = 0
    held_out: int = 200
    held_out_seed: int = 1_000_000
    size_px: int = 128


@dataclass(frozen=True)
class Optimizer:
    """AdamW with a linear warm-up and a cosine decay from `lr` to `final_lr`."""

    lr: float
    final_lr: float = 0.0
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0
    warmup_steps: int = 100
    clip_norm: float = 1.0


@dataclass(frozen=True)
class Phase:
    """A stretch of training at one batch size."""

    steps: int
    batch_size: int
    crop_px: int = 0  # random square crops of this side; 0 = whole pictures


@dataclass(frozen=True)
class Recipe:
    """What `python -m taming train` runs."""

    task: TaskName
    optimizer: Optimizer
    phases: tuple[Phase, ...]
    model: dict[str, Any]  # fields of VQModelConfig or TransformerConfig
    loss: dict[str, float] = field(default_factory=dict)  # fields of the task's loss weights
    data: SceneData = field(default_factory=SceneData)
    first_stage: str = ""  # checkpoint of the tokenizer, for tasks that need one
    seed: int = 0
    export_dtype: Literal["float32", "float16"] = "float32"  # of the weights in `model.safetensors`
    save_minutes: float = 5.0
    evaluate_every: int = 500  # steps

    @property
    def num_steps(self) -> int:
        return sum(phase.steps for phase in self.phases)

    def phase_at(self, step: int) -> Phase:
        for phase in self.phases:
            if step < phase.steps:
                return phase
            step -= phase.steps
        raise IndexError(step)


def read_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe preset or YAML file.

    Raises:
        ConfigError: not found, not YAML, or a key that a recipe does not have.
    """
    values = read_preset(name, overrides)
    values["optimizer"] = build(Optimizer, values.get("optimizer", {}), "optimizer")
    values["data"] = build(SceneData, values.get("data", {}), "data")
    phases = values.get("phases")
    if not isinstance(phases, list) or not phases:
        raise ConfigError(f"{name}: phases: found {phases!r}. Give a list with at least one phase.")
    values["phases"] = tuple(build(Phase, phase, "phases") for phase in phases)
    recipe = build(Recipe, values, name)
    if recipe.task not in get_args(TaskName):
        raise ConfigError(f"{name}: unknown task {recipe.task!r}. Known tasks: {', '.join(get_args(TaskName))}.")
    return recipe


def build(kind: type[T], values: object, where: str) -> T:
    """Make a dataclass from a mapping; unknown and missing keys are errors, lists become tuples.

    Raises:
        ConfigError: naming the key and the known ones.
    """
    if not isinstance(values, dict):
        raise ConfigError(f"{where}: found {values!r}, but it is a section. Give it keys and values.")
    known = {f.name: f for f in fields(kind)}
    unknown = sorted(values.keys() - known.keys())
    if unknown:
        raise ConfigError(f"{where}: unknown key {unknown[0]!r}. Known keys: {', '.join(known)}.")
    missing = [
        f.name for f in known.values() if f.default is MISSING and f.default_factory is MISSING and f.name not in values
    ]
    if missing:
        raise ConfigError(f"{where}: key {missing[0]!r} is missing. Add it to the file.")
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})
