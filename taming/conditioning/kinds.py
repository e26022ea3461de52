"""What a transformer was trained to be conditioned on: one small class for each kind of condition."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar, Literal

from torch import Tensor

from ..configs import check_names, config_from_dict
from ..configs.fields import convert
from ..errors import ConditionError, ConfigError
from ..text import shorten
from .boxes import BoxFormat
from .depth import normalize_depth
from .segmentation import one_hot
from .vocabularies import VOCABULARIES, vocabulary
from .words import NULL, PAD, WordList

ConditionKind = Literal["unconditional", "class", "words", "coordinates", "segmentation", "depth", "image", "boxes"]


@dataclass(frozen=True)
class ConditionConfig(ABC):
    """The condition that a transformer reads as tokens before the grid; the subclasses are its kinds."""

    kind: ConditionKind = field(init=False)
    null_context: bool = field(default=False, kw_only=True)  # cross-attention: zeros stand for "no context"

    arguments: ClassVar[tuple[str, ...]] = ()  # of `get_condition`; the first is what the prefix is made of
    is_required: ClassVar[bool] = False  # nothing can stand in for that argument
    is_first_middle: ClassVar[bool] = False  # a cell is drawn in the first of the two middles of an even window

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes in label order; empty when they have none."""
        return ()

    @property
    def num_labels(self) -> int:
        """How many classes labels name; 0 when the file does not say."""
        return 0

    @property
    def num_cond_tokens(self) -> int:
        """Tokens of the condition that are no codes and have embeddings of their own."""
        return 0

    @abstractmethod
    def length(self, height: int, width: int) -> int:
        """Tokens before a window of `height` x `width` cells; 0 where only the condition's stage can tell."""

    def null_tokens(self, vocab_size: int) -> list[int] | None:
        """The tokens that stand for no condition, of a transformer of `vocab_size` codes; None where none do."""
        return None

    def largest_tokens(self) -> dict[str, int]:
        """The largest tokens among the codes that it is written with, by the fields that they follow from."""
        return {}

    def check(self, vocab_size: int) -> None:
        """Raise ConfigError if the fields contradict each other, or need more than `vocab_size` codes."""
        for name, token in self.largest_tokens().items():
            if token >= vocab_size:
                raise ConfigError(f"{name} {token} is not below vocab_size {vocab_size}.")
        if self.names and len(self.names) != self.num_labels:
            raise ConfigError(f"{len(self.names)} class_names for {self.num_labels} classes.")

    def to_dict(self) -> dict[str, Any]:
        """Plain values as files hold them: the fields of all kinds, those of the others with their defaults."""
        return FIELDS | asdict(self)

    @classmethod
    def from_dict(cls, values: object, where: str) -> ConditionConfig:
        """The condition of any kind from plain values; `where` says whose they are.

        Raises: ConfigError for another kind, unknown names, values of the wrong type, or fields of another kind that
            do not have their default.
        """
        if not isinstance(values, Mapping):
            raise ConfigError(f"{where}: expected the fields of a {cls.__name__}, found {shorten(values)}.")
        check_names(values, FIELDS, where)
        kind: ConditionKind = convert(values.get("kind", "unconditional"), ConditionKind, 0, f"{where}: kind")
        own = _own_fields(KINDS[kind])
        _check_owners(values, kind, where)
        return config_from_dict(KINDS[kind], {name: value for name, value in values.items() if name in own}, where)


@dataclass(frozen=True)
class Unconditional(ConditionConfig):
    """Nothing but a start token."""

    kind: Literal["unconditional"] = field(default="unconditional", init=False)
    sos_token: int = 0  # the token every sequence starts with

    def length(self, height: int, width: int) -> int:
        return 1

    def largest_tokens(self) -> dict[str, int]:
        return {"sos_token": self.sos_token}


@dataclass(frozen=True)
class ClassCondition(ConditionConfig):
    """A class label, which is its own token, as published."""

    kind: Literal["class"] = field(default="class", init=False)
    num_classes: int = 0  # 0 when the file does not say
    class_names: tuple[str, ...] = ()  # in label order; empty when the classes have no names of their own
    vocabulary: str = ""  # published names of the classes, see `vocabularies`; empty when unknown
    null_label: int | None = None  # token that stands for "no label"; None when it was not trained for guidance

    arguments: ClassVar[tuple[str, ...]] = ("label",)

    @property
    def names(self) -> tuple[str, ...]:
        return self.class_names or _vocabulary_names(self.vocabulary)

    @property
    def num_labels(self) -> int:
        return self.num_classes

    def length(self, height: int, width: int) -> int:
        return 1

    def null_tokens(self, vocab_size: int) -> list[int] | None:
        return None if self.null_label is None else [self.null_label]

    def largest_tokens(self) -> dict[str, int]:
        return {"num_classes - 1": self.num_classes - 1, "null_label": self.null_label or 0}

    def check(self, vocab_size: int) -> None:
        _check_vocabulary(self.vocabulary)
        super().check(vocab_size)


@dataclass(frozen=True)
class WordCondition(ConditionConfig):
    """A prompt of known words, whose tokens come after those of the codes."""

    kind: Literal["words"] = field(default="words", init=False)
    word_list: WordList
    max_words: int  # tokens of every prompt, filled up or cut to that length
    class_names: tuple[str, ...] = ()  # that stand for prompts
    class_prompts: tuple[str, ...] = ()  # the prompt that each of `class_names` stands for

    arguments: ClassVar[tuple[str, ...]] = ("prompt", "negative", "label")

    @property
    def names(self) -> tuple[str, ...]:
        return self.class_names

    @property
    def num_labels(self) -> int:
        return len(self.class_prompts)

    @property
    def num_cond_tokens(self) -> int:
        return self.word_list.num_tokens

    def length(self, height: int, width: int) -> int:
        return self.max_words

    def null_tokens(self, vocab_size: int) -> list[int]:
        return [vocab_size + NULL] + [vocab_size + PAD] * (self.max_words - 1)


@dataclass(frozen=True)
class CoordinateCondition(ConditionConfig):
    """Where in the image each cell lies."""

    kind: Literal["coordinates"] = field(default="coordinates", init=False)
    num_codes: int = 0  # tokens that a coordinate is rounded to
    down_factor: int = 0  # pixels per token side

    arguments: ClassVar[tuple[str, ...]] = ("coordinates",)

    def length(self, height: int, width: int) -> int:
        return height * width

    def largest_tokens(self) -> dict[str, int]:
        return {"num_codes - 1": self.num_codes - 1}

    def check(self, vocab_size: int) -> None:
        super().check(vocab_size)
        if not (self.num_codes and self.down_factor):
            raise ConfigError("coordinates need num_codes and down_factor of 1 or more.")


@dataclass(frozen=True)
class BoxCondition(ConditionConfig):
    """Boxes of objects."""

    kind: Literal["boxes"] = field(default="boxes", init=False)
    boxes: BoxFormat  # how they are written
    class_names: tuple[str, ...] = ()  # in label order; empty when the classes have no names of their own
    vocabulary: str = ""  # published names of the classes, see `vocabularies`; empty when unknown

    arguments: ClassVar[tuple[str, ...]] = ("boxes",)
    is_required: ClassVar[bool] = True
    is_first_middle: ClassVar[bool] = True

    @property
    def names(self) -> tuple[str, ...]:
        return self.class_names or _vocabulary_names(self.vocabulary)

    @property
    def num_labels(self) -> int:
        return self.boxes.num_classes

    def length(self, height: int, width: int) -> int:
        return self.boxes.length

    def largest_tokens(self) -> dict[str, int]:
        last_object = self.boxes.largest_object_token
        return {"boxes: num_tokens - 1": self.boxes.num_tokens - 1, "boxes: the last object": last_object}

    def check(self, vocab_size: int) -> None:
        _check_vocabulary(self.vocabulary)
        super().check(vocab_size)


@dataclass(frozen=True)
class MapCondition(ConditionConfig):
    """A map under the grid, as tokens of a VQGAN of its own, the condition's stage."""

    downsample_cond_size: int = 0  # side in pixels that every map is scaled to; 0 = the size of the image

    is_required: ClassVar[bool] = True

    def length(self, height: int, width: int) -> int:
        return 0 if self.downsample_cond_size else height * width

    @abstractmethod
    def map_pixels(self, value: Tensor) -> Tensor:
        """What the stage encodes, (B, C, H, W), from labels or depth (B, H, W), or an image (B, 3, H, W).

        Raises: ConditionError for another shape, or labels, depth or pixels that no map has.
        """


@dataclass(frozen=True)
class SegmentationCondition(MapCondition):
    """A map of labels."""

    kind: Literal["segmentation"] = field(default="segmentation", init=False)
    num_classes: int = 0  # channels of the map
    vocabulary: str = ""  # published names and colors of the classes, see `vocabularies`; empty when unknown

    arguments: ClassVar[tuple[str, ...]] = ("segmentation",)

    @property
    def names(self) -> tuple[str, ...]:
        return _vocabulary_names(self.vocabulary)

    @property
    def num_labels(self) -> int:
        return self.num_classes

    def map_pixels(self, value: Tensor) -> Tensor:
        return one_hot(_as_maps(value, self.kind), self.num_classes)

    def check(self, vocab_size: int) -> None:
        _check_vocabulary(self.vocabulary)
        super().check(vocab_size)


@dataclass(frozen=True)
class DepthCondition(MapCondition):
    """A depth map."""

    kind: Literal["depth"] = field(default="depth", init=False)

    arguments: ClassVar[tuple[str, ...]] = ("depth",)

    def map_pixels(self, value: Tensor) -> Tensor:
        return normalize_depth(_as_maps(value, self.kind))


@dataclass(frozen=True)
class ImageCondition(MapCondition):
    """Another image of the same size."""

    kind: Literal["image"] = field(default="image", init=False)

    arguments: ClassVar[tuple[str, ...]] = ("image",)

    def map_pixels(self, value: Tensor) -> Tensor:
        if value.dim() != 4 or value.shape[1] != 3 or not value.is_floating_point():
            raise ConditionError(
                f"An image has shape (B, 3, H, W), in [0, 1]; found {tuple(value.shape)} of {value.dtype}. "
                "Move the channels forward, or divide 8-bit values by 255."
            )
        if not value.isfinite().all():
            raise ConditionError("The image has values that are NaN or infinite. Replace them first.")
        return value * 2 - 1


KINDS: dict[ConditionKind, type[ConditionConfig]] = {
    "unconditional": Unconditional,
    "class": ClassCondition,
    "words": WordCondition,
    "coordinates": CoordinateCondition,
    "segmentation": SegmentationCondition,
    "depth": DepthCondition,
    "image": ImageCondition,
    "boxes": BoxCondition,
}
# The fields of all kinds, in the order in which files hold them, with what they are where they belong to another kind.
FIELDS: dict[str, Any] = {
    "kind": "unconditional",
    "sos_token": 0,
    "num_classes": 0,
    "class_names": (),
    "vocabulary": "",
    "null_label": None,
    "null_context": False,
    "num_codes": 0,
    "down_factor": 0,
    "downsample_cond_size": 0,
    "boxes": None,
    "word_list": None,
    "max_words": 0,
    "class_prompts": (),
}
# What the kinds that cannot do without are made of.
_PARTS: dict[ConditionKind, tuple[str, ...]] = {"boxes": ("boxes",), "words": ("word_list", "max_words")}


def _own_fields(kind_class: type[ConditionConfig]) -> set[str]:
    return {each.name for each in fields(kind_class) if each.init}


def _check_owners(values: Mapping[str, object], kind: ConditionKind, where: str) -> None:
    """Raise ConfigError if `values` lack what `kind` is made of, or say something of another kind."""
    for owner, parts in _PARTS.items():
        if (kind == owner) != all(values.get(part) not in (None, 0) for part in parts):
            raise ConfigError(f"{where}: {' and '.join(parts)} belong to the kind {owner}, and the kind is {kind}.")
    own = _own_fields(KINDS[kind])
    for name, value in values.items():
        plain = tuple(value) if isinstance(value, list) else value
        if name != "kind" and name not in own and plain != FIELDS[name]:
            owners = [each for each, kind_class in KINDS.items() if name in _own_fields(kind_class)]
            raise ConfigError(f"{where}: {name} belongs to the kind {' or '.join(owners)}, and the kind is {kind}.")


def _vocabulary_names(name: str) -> tuple[str, ...]:
    return vocabulary(name).names if name else ()


def _check_vocabulary(name: str) -> None:
    if name and name not in VOCABULARIES:
        raise ConfigError(f"there is no vocabulary {shorten(name)}; known are {', '.join(VOCABULARIES)}.")


def _as_maps(value: Tensor, kind: str) -> Tensor:
    """Maps (B, H, W) from those or one (H, W)."""
    if value.dim() not in (2, 3):
        raise ConditionError(f"A {kind} map has shape (B, H, W) or (H, W); found {tuple(value.shape)}.")
    return value if value.dim() == 3 else value.unsqueeze(0)
