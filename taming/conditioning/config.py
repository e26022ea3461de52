"""What a transformer was trained to be told."""

from dataclasses import dataclass
from typing import Literal

from .boxes import BoxFormat
from .vocabularies import vocabulary

ConditionKind = Literal["unconditional", "class", "coordinates", "segmentation", "depth", "image", "boxes"]
MAP_KINDS = ("segmentation", "depth", "image")  # tokens of a VQGAN of their own, the condition's stage


@dataclass(frozen=True)
class ConditionConfig:
    """The condition that a transformer reads as tokens before the grid."""

    kind: ConditionKind = "unconditional"
    sos_token: int = 0  # unconditional: the token every sequence starts with
    num_classes: int = 0  # class: a label is its own token, as published; segmentation: channels of the map
    class_names: tuple[str, ...] = ()  # in label order; empty when the classes have no names of their own
    vocabulary: str = ""  # published names (and colors) of the classes, see `vocabularies`; empty when unknown
    null_label: int | None = None  # token that stands for "no label"; None when it was not trained for guidance
    null_context: bool = False  # cross-attention: zeros stand for "no context", for guidance
    num_codes: int = 0  # coordinates: tokens that a coordinate is rounded to
    down_factor: int = 0  # coordinates: pixels per token side
    downsample_cond_size: int = 0  # maps: side in pixels that every map is scaled to; 0 = the size of the picture
    boxes: BoxFormat | None = None  # boxes: how they are written

    @property
    def num_labels(self) -> int:
        """How many classes labels name; 0 when the file does not say."""
        return self.boxes.num_classes if self.boxes is not None else self.num_classes

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes in label order; empty when they have none."""
        return self.class_names or (vocabulary(self.vocabulary).names if self.vocabulary else ())

    def length(self, height: int, width: int) -> int:
        """Tokens before a window of `height` x `width` cells; 0 where only the condition's stage can tell."""
        if self.kind == "boxes":
            return self.boxes.length if self.boxes is not None else 0
        if self.kind in ("unconditional", "class"):
            return 1
        return 0 if self.downsample_cond_size else height * width
