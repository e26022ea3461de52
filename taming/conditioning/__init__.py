"""What a transformer is told: a start token, class labels, prompts, maps, boxes, coordinates, context vectors."""

from .boxes import Box, BoxFormat, encode_boxes
from .build import get_condition
from .condition import Condition
from .config import MAP_KINDS, ConditionConfig
from .maps import encode_map, map_pixels
from .prefix import FixedPrefix, MapPrefix, Prefix, coordinate_tokens
from .prompts import encode_prompts
from .token_model import MapEncoder, TokenModel, TokenModelConfig
from .vocabularies import vocabulary
from .window import Window
from .words import Word, WordList, read_word_list

__all__ = [
    "MAP_KINDS",
    "Box",
    "BoxFormat",
    "Condition",
    "ConditionConfig",
    "FixedPrefix",
    "MapEncoder",
    "MapPrefix",
    "Prefix",
    "TokenModel",
    "TokenModelConfig",
    "Window",
    "Word",
    "WordList",
    "coordinate_tokens",
    "encode_boxes",
    "encode_map",
    "encode_prompts",
    "get_condition",
    "map_pixels",
    "read_word_list",
    "vocabulary",
]
