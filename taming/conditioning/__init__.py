"""What a transformer is told: a start token, class labels, prompts, maps, boxes, coordinates, context vectors."""

from .boxes import Box, BoxFormat, encode_boxes
from .build import get_condition
from .condition import Condition
from .kinds import (
    KINDS,
    BoxCondition,
    ClassCondition,
    ConditionConfig,
    ConditionKind,
    CoordinateCondition,
    DepthCondition,
    ImageCondition,
    MapCondition,
    SegmentationCondition,
    Unconditional,
    WordCondition,
)
from .maps import encode_map
from .prefix import FixedPrefix, MapPrefix, Prefix, coordinate_tokens
from .prompts import encode_prompts
from .token_model import MapEncoder, TokenModel, TokenModelConfig
from .vocabularies import vocabulary
from .window import Window
from .words import Word, WordList, read_word_list

__all__ = [
    "KINDS",
    "Box",
    "BoxCondition",
    "BoxFormat",
    "ClassCondition",
    "Condition",
    "ConditionConfig",
    "ConditionKind",
    "CoordinateCondition",
    "DepthCondition",
    "FixedPrefix",
    "ImageCondition",
    "MapCondition",
    "MapEncoder",
    "MapPrefix",
    "Prefix",
    "SegmentationCondition",
    "TokenModel",
    "TokenModelConfig",
    "Unconditional",
    "Window",
    "Word",
    "WordCondition",
    "WordList",
    "coordinate_tokens",
    "encode_boxes",
    "encode_map",
    "encode_prompts",
    "get_condition",
    "read_word_list",
    "vocabulary",
]
