"""What a transformer was trained to be told."""

from dataclasses import dataclass
from typing import Literal

from .boxes import BoxFormat
from .vocabularies import vocabulary
from .words import NULL, PAD, WordList

ConditionKind = Literal["unconditional", "class", "words", "coordinates", "segmentation", "depth", "image", "boxes"]
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
    word_list: WordList | None = None  # words: the tokens of prompts; their ids come after those of the codes
    max_words: int = 0  # words: tokens of every prompt, filled up or cut to that length
    class_prompts: tuple[str, ...] = ()  # words: the prompt that each of `class_names` stands for

    @property
    def num_labels(self) -> int:
        """How many classes labels name; 0 when the file does not say."""
        if self.kind == "words":
            return len(self.class_prompts)
        return self.boxes.num_classes if self.boxes is not None else self.num_classes

    @property
    def num_cond_tokens(self) -> int:
        """Tokens of the condition that are no codes and have embeddings of their own."""
        return 0 if self.word_list is None else self.word_list.num_tokens

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
        if self.kind == "words":
            return self.max_words
        return 0 if self.downsample_cond_size else height * width

    def null_tokens(self, vocab_size: int) -> list[int] | None:
        """The tokens that stand for no condition, of a transformer of `vocab_size` codes; None where none do."""
        if self.kind == "words":
            return [vocab_size + NULL] + [vocab_size + PAD] * (self.max_words - 1)
        return None if self.null_label is None else [self.null_label]
