"""A training recipe: every number that a run depends on, read from YAML."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_type_hints

from ..configs import config_from_dict, read_preset
from ..errors import ConfigError
from ..models import TransformerConfig, VQModelConfig
from .loss_settings import TransformerLoss, VQGANLoss

MAX_PIXELS = 2**30  # trained on at a time; they alone take 13 GB


@dataclass(frozen=True)
class DataSettings:
    """What to train on: pictures of one's own, or procedural scenes, whose seeds count up from the first."""

    folder: str = ""  # of pictures, with those in it; or a list (.txt), or shards (*.tar); empty: procedural scenes
    labels: str = "none"  # none, folders (their names), cls (of shards), or the path of a CSV table: file, label
    min_px: int = 32  # pictures with a shorter side are left out
    size_px: int = 128  # that the shorter side is scaled to
    maps: str = ""  # folder of maps with the names of the pictures
    map_kind: Literal["segmentation", "depth"] = "segmentation"  # what those are
    boxes: str = ""  # annotations of the pictures in the format of COCO (instances_*.json)
    held_out: int = 200  # pictures that are never trained on; of a folder, a tenth at most
    flip: bool = True  # left to right, at random
    largest_scale: float = 1.0  # pictures are enlarged by up to this factor, at random, before they are cropped
    color: float = 0.0  # how far brightness, contrast and saturation are varied; 0.2 is usual
    hue: float = 0.0  # how far hues are turned, 0.5 for the whole color circle; 0: a quarter of `color`
    with_scenes: bool = False  # procedural scenes beside the pictures of `folder`; nothing is labeled then
    scenes: Literal["classes", "compositions"] = "classes"  # of twelve classes, or places with times and things
    count: int = 24_000  # of scenes
    num_objects: int = 0  # on a scene of a class, at most
    swatches: int = 0  # images of plain and shaded colors beside all others; nothing is labeled then
    first_seed: int = 0
    held_out_seed: int = 1_000_000
    has_maps: bool = False  # scenes: with segments, depth and boxes, which are drawn again whenever they are asked for
    cache_tokens: bool = True  # of a transformer: read middle squares once; false: other crops and colors in every step


@dataclass(frozen=True)
class ConditionSettings:
    """What a transformer learns to be told of a picture, beside the context that `model.context_dim` asks for."""

    kind: Literal["auto", "unconditional", "class", "words", "segmentation", "depth", "boxes", "coordinates"] = "auto"
    stage: str = ""  # segmentation, depth: checkpoint of the VQGAN that makes tokens of the maps
    # of taming/conditioning/vocabularies; segmentation: what the labels are called and drawn in; words: a word list, or
    # captions, the default: the words of the captions that are trained on
    vocabulary: str = ""
    max_words: int = 32  # words: tokens of a caption that are read
    class_prompts: dict[str, Any] = field(default_factory=dict)  # words: prompts by names that labels may be given by
    max_objects: int = 30  # boxes: that are told, at most
    center_points: bool = False  # boxes: by their centers, not by two corners
    num_codes: int = 1024  # coordinates: tokens that they are rounded to


@dataclass(frozen=True)
class Optimizer:
    """AdamW with a linear warm-up to `lr`, which then falls to `final_lr` by a cosine, or stays."""

    lr: float
    final_lr: float = 0.0
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0
    warmup_steps: int = 0
    schedule: Literal["cosine", "constant"] = "cosine"
    clip_norm: float = 1.0  # of all gradients together; 0: no clipping


@dataclass(frozen=True)
class Phase:
    """A stretch of training at one batch size."""

    steps: int
    batch_size: int
    crop_px: int = 0  # random square crops of this side; 0 = whole pictures


@dataclass(frozen=True)
class Recipe:
    """What `python -m taming train` runs."""

    task: Literal["vqgan", "vqgan_decoder", "map_vqgan", "transformer"]
    optimizer: Optimizer
    phases: tuple[Phase, ...]
    model: dict[str, Any]  # fields of VQModelConfig or TransformerConfig
    loss: dict[str, Any] = field(default_factory=dict)  # fields of the task's loss settings
    data: DataSettings = field(default_factory=DataSettings)
    first_stage: str = ""  # checkpoint of the tokenizer, for tasks that need one
    condition: ConditionSettings = field(default_factory=ConditionSettings)  # of a transformer; auto: class, if labeled
    init_from: str = ""  # checkpoint to start from, of the same architecture; empty: from chance
    identity_start: bool = (
        False  # of a VQGAN without: layers begin by passing on what they get, see tasks/identity_start.py
    )
    seed: int = 0
    accumulate: int = 1  # micro-batches that a step's batch is cut into, to save memory
    checkpointing: bool = False  # compute activations again for the gradients: less memory, about a third more time
    precision: Literal["float32", "bfloat16", "float16"] = "float32"  # of the arithmetic; weights stay in float32
    ema_decay: float = 0.0  # of the running averages that are evaluated and exported; 0 = none, 0.999 is usual
    export_dtype: Literal["float32", "float16", "int8"] = "float32"  # of the weights in `model.safetensors`
    save_minutes: float = 5.0
    evaluate_every: int = 500  # steps

    def __post_init__(self) -> None:
        if not self.phases:
            raise ConfigError("phases: there is none. Give a list with at least one phase.")
        if self.data.maps and self.data.boxes:
            raise ConfigError("data: maps and boxes are not told together. Leave one of them out.")
        if self.data.swatches and (self.data.maps or self.data.boxes or self.data.has_maps):
            raise ConfigError("data: swatches have no maps and no boxes. Leave them out.")
        for phase in self.phases:
            if phase.crop_px > self.data.size_px:
                raise ConfigError(
                    f"phases: crop_px {phase.crop_px} is larger than the pictures, data.size_px {self.data.size_px}. "
                    "Crop less, or train on larger pictures."
                )
            pixels = -(-phase.batch_size // self.accumulate) * (phase.crop_px or self.data.size_px) ** 2
            if pixels > MAX_PIXELS:
                raise ConfigError(
                    f"phases: {phase.batch_size} pictures of {phase.crop_px or self.data.size_px} px in a step are "
                    f"{pixels} pixels at a time, more than the limit of {MAX_PIXELS}. Use a smaller batch_size or "
                    "size_px, or a larger accumulate."
                )
        if self.ema_decay >= 1:
            raise ConfigError(f"ema_decay is {self.ema_decay}; it must be below 1. 0.999 is usual.")
        needs_first_stage = self.task in ("vqgan_decoder", "transformer")
        if bool(self.first_stage) != needs_first_stage:
            wanted = (
                "names no first_stage. Give the checkpoint of its tokenizer"
                if needs_first_stage
                else ("has a first_stage, which only other tasks use. Leave it out")
            )
            raise ConfigError(f"a recipe for task {self.task} {wanted}.")

    @property
    def num_steps(self) -> int:
        return sum(phase.steps for phase in self.phases)

    def phase_at(self, step: int) -> Phase:
        for phase in self.phases:
            if step < phase.steps:
                return phase
            step -= phase.steps
        raise IndexError(step)


# The types of its fields, by which overrides are read; those of models and losses differ in their names.
FIELD_TYPES: Mapping[str, Any] = {
    **get_type_hints(Recipe),
    "model": {**get_type_hints(VQModelConfig), **get_type_hints(TransformerConfig)},
    "loss": {**get_type_hints(VQGANLoss), **get_type_hints(TransformerLoss)},
}


def read_recipe(
    name: str, overrides: Sequence[str] = (), may_stay_open: Collection[str] = (), where: str | None = None
) -> Recipe:
    """Read a recipe preset or YAML file, with overrides as in `read_preset`; `where` is what messages call it.

    Raises:
        ConfigError: not found, not YAML, or a value that a recipe cannot have.
    """
    return config_from_dict(Recipe, read_preset(name, overrides, may_stay_open, FIELD_TYPES), where or name)
