"""What a transformer was trained to be told."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ConditionConfig:
    """The condition that a transformer reads as tokens before the grid."""

    kind: Literal["unconditional", "class"] = "unconditional"
    sos_token: int = 0  # unconditional: the token every sequence starts with
    num_classes: int = 0  # class: a label is its own token, as published; 0 when the file does not say
    class_names: tuple[str, ...] = ()  # in label order; empty when the classes have no names
    null_label: int | None = None  # token that stands for "no label"; None when it was not trained for guidance
