"""What a transformer is told: a start token, class labels, maps, boxes, coordinates, context vectors."""

from .boxes import Box, BoxFormat, encode_boxes
from .build import get_condition
from .condition import Condition
from .config import MAP_KINDS, ConditionConfig
from .maps import encode_map, map_pixels
from .prefix import MapPrefix, Prefix, coordinate_tokens
from .vocabularies import vocabulary
from .window import Window

__all__ = [
    "MAP_KINDS",
    "Box",
    "BoxFormat",
    "Condition",
    "ConditionConfig",
    "MapPrefix",
    "Prefix",
    "Window",
    "coordinate_tokens",
    "encode_boxes",
    "encode_map",
    "get_condition",
    "map_pixels",
    "vocabulary",
]
