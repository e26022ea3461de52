"""What a transformer is told: a start token, class labels, maps, boxes, coordinates, context vectors."""

from .boxes import Box, BoxFormat
from .build import get_condition
from .condition import Condition
from .config import MAP_KINDS, ConditionConfig
from .maps import encode_map, map_pixels
from .prefix import MapPrefix, Prefix
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
    "encode_map",
    "get_condition",
    "map_pixels",
]
