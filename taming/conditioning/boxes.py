"""Boxes of objects in a picture, to the tokens that scene transformers read before the grid, and back.

After taming/data/conditional_builder/ of CompVis/taming-transformers (objects_bbox.py, objects_center_points.py,
utils.py), whose arithmetic is kept to the last token: transformers were trained on it.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral

import torch

from ..errors import ConditionError, ConfigError, TokensError
from ..text import shorten

Rectangle = tuple[float, float, float, float]  # x and y of the upper left corner, width, height
WHOLE_PICTURE: Rectangle = (0.0, 0.0, 1.0, 1.0)

_MAX_LENGTH = 1e9  # what is more is a mistake, and overflows somewhere
_CROP_SLACK = 1e-6  # a crop computed in single precision may miss the picture's edge by its rounding error
_GROUP_BIT, _OCCLUDED_BIT, _DEPICTION_BIT, _INSIDE_BIT = 1, 2, 4, 8

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Box:
    """An object in a picture; lengths are fractions of the whole picture, and may reach beyond it."""

    label: int  # number of the object's class
    x: float  # left edge
    y: float  # upper edge
    width: float
    height: float
    is_group_of: bool = False  # several objects of the class in one box
    is_occluded: bool = False
    is_depiction: bool = False  # a picture of the object
    is_inside: bool = False  # the object seen from within


@dataclass(frozen=True)
class BoxFormat:
    """How a transformer was trained to read boxes.

    Raises:
        ConfigError: numbers that no such transformer can have.
    """

    num_classes: int
    num_tokens: int = 8192  # the last of them means "no object"
    max_objects: int = 30
    center_points: bool = False  # an object is (object, center), not (object, upper left, lower right corner)
    encode_crop: bool = True  # boxes stay in the whole picture and two tokens tell which crop of it is drawn
    use_group_parameter: bool = False  # object tokens tell groups from single objects
    use_additional_parameters: bool = False  # object tokens tell what is occluded, a depiction, seen from inside

    def __post_init__(self) -> None:
        if self.num_tokens < 4 or not 1 <= self.num_classes < self.num_tokens:
            raise ConfigError(
                f"num_tokens {self.num_tokens} and num_classes {self.num_classes} do not go together; "
                "there must be 1 class or more, 4 tokens or more, and more tokens than classes."
            )
        if self.max_objects < 1:
            raise ConfigError(f"max_objects must be 1 or more; it is {self.max_objects}.")

    @property
    def length(self) -> int:
        """Tokens of a whole condition."""
        return self.max_objects * self.tokens_per_object + 2 * self.encode_crop

    @property
    def tokens_per_object(self) -> int:
        return 2 if self.center_points else 3

    @property
    def none_token(self) -> int:
        """Stands where an object could stand and none does."""
        return self.num_tokens - 1

    @property
    def largest_object_token(self) -> int:
        """The class that comes last, with every flag that the format tells."""
        flags = 0b0001 * self.use_group_parameter + 0b1110 * self.use_additional_parameters
        return self.num_classes * (1 + flags) - 1

    @property
    def num_sections(self) -> int:
        """Places on each axis; a place token is a cell of their square grid, in raster order."""
        return math.isqrt(self.num_tokens)


@dataclass(frozen=True)
class DecodedBoxes:
    """What a condition says, to the precision of its tokens."""

    boxes: tuple[Box, ...]  # in their order; with center points, boxes of no size at the center
    crop: Rectangle | None  # the part of the picture that is drawn; None when the format does not tell


def encode_boxes(
    format: BoxFormat, boxes: Sequence[Box], crop: Rectangle = WHOLE_PICTURE, flip: bool = False
) -> list[int]:
    """The `format.length` tokens for `boxes` in the order given, when `crop` of their picture is drawn.

    Beyond `max_objects` the last boxes are left out, with a warning; who encodes several crops cuts the list first.
    Boxes outside the crop are left out. Flags that the format does not know are not told. A box that reaches beyond
    the left or upper edge of its frame (the crop; the picture with `encode_crop`) starts at that edge and keeps its
    size, as in training.

    Args:
        crop: x, y, width, height, as fractions of the whole picture.
        flip: mirror boxes and crop left to right.

    Raises:
        ConditionError: an unknown label, a box of no size or wholly outside the picture, a crop that leaves it.
    """
    _check_crop(crop)
    for number, box in enumerate(boxes, start=1):
        _check_box(format, box, f"Box {number}")
    if len(boxes) > format.max_objects:
        _log.warning("%d boxes, of which the transformer reads the first %d.", len(boxes), format.max_objects)
    frame = WHOLE_PICTURE if format.encode_crop else crop
    tokens = []
    for box in boxes[: format.max_objects]:
        if _overlap(_rectangle(box), crop) > 0:
            rectangle = _within(_rectangle(box), frame)
            tokens += [_object_token(format, box), *_place_tokens(format, _mirror(rectangle) if flip else rectangle)]
    tokens += [format.none_token] * (format.max_objects * format.tokens_per_object - len(tokens))
    if format.encode_crop:
        tokens += _corner_tokens(format, _mirror(crop) if flip else crop)
    return tokens


def decode_boxes(format: BoxFormat, tokens: Sequence[int]) -> DecodedBoxes:
    """The boxes and the crop that `tokens` tell, corners rounded to places; what is thinner than a place has no size.

    Raises:
        TokensError: too few or too many tokens, or some that stand for no object or no place.
    """
    if len(tokens) != format.length:
        raise TokensError(f"{len(tokens)} tokens are no condition of boxes; this transformer reads {format.length}.")
    stride, end = format.tokens_per_object, format.max_objects * format.tokens_per_object
    objects = [tokens[start : start + stride] for start in range(0, end, stride)]
    boxes = tuple(_decode_object(format, *told) for told in objects if told[0] != format.none_token)
    crop = _corners_from_tokens(format, *tokens[end:]) if format.encode_crop else None
    return DecodedBoxes(boxes, crop)


def shuffle_boxes(boxes: Sequence[Box], seed: int) -> list[Box]:
    """The same boxes in an order drawn from `seed`: transformers were trained on boxes in random order.

    The reference cuts a list that is too long before it shuffles what is left.
    """
    order = torch.randperm(len(boxes), generator=torch.Generator().manual_seed(seed))
    return [boxes[index] for index in order.tolist()]


def _check_box(format: BoxFormat, box: Box, name: str) -> None:
    """Raise ConditionError for a box that the transformer cannot be told about; `name` says which one it is."""
    if not isinstance(box.label, Integral) or not 0 <= box.label < format.num_classes:
        raise ConditionError(
            f"{name} is of class {shorten(box.label)}, which this transformer does not have. "
            f"Use a class number, 0 to {format.num_classes - 1}."
        )
    if any(_MAX_LENGTH < abs(length) < math.inf for length in _rectangle(box)):  # also what no float holds
        raise ConditionError(
            f"{name} has {shorten(_rectangle(box))} for x, y, width and height. Give fractions of the picture, 0 to 1."
        )
    place = f"x {box.x:g}, y {box.y:g}, width {box.width:g}, height {box.height:g}"
    if not all(map(math.isfinite, _rectangle(box))) or box.width <= 0 or box.height <= 0:
        raise ConditionError(f"{name} covers nothing ({place}). Give it finite numbers, width and height above 0.")
    if _overlap(_rectangle(box), WHOLE_PICTURE) == 0:
        raise ConditionError(
            f"{name} lies outside the picture ({place}). Move or remove it; the picture goes from 0 to 1 on both axes."
        )
    token = _object_token(format, box)
    if token >= format.none_token:
        raise ConditionError(
            f"{name} is of class {box.label} with flags that make it token {token}; this transformer's objects end "
            f"at {format.none_token - 1}. Leave flags of this box out."
        )


def _check_crop(crop: Rectangle) -> None:
    x, y, width, height = crop
    low, high = -_CROP_SLACK, 1 + _CROP_SLACK
    # Written so that NaN fails too.
    if not (width > 0 and height > 0 and x >= low and y >= low and x + width <= high and y + height <= high):
        raise ConditionError(
            f"The crop (x {x:g}, y {y:g}, width {width:g}, height {height:g}) is no part of the picture. "
            "Give fractions of the whole picture, width and height above 0."
        )


def _rectangle(box: Box) -> Rectangle:
    return box.x, box.y, box.width, box.height


def _overlap(a: Rectangle, b: Rectangle) -> float:
    """The area that both cover."""
    width = max(0.0, min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1]))
    return width * height


def _within(rectangle: Rectangle, frame: Rectangle) -> Rectangle:
    """`rectangle` in fractions of `frame`, pushed into it at the left and above, cut at the right and below."""
    x = max(min((rectangle[0] - frame[0]) / frame[2], 1.0), 0.0)
    y = max(min((rectangle[1] - frame[1]) / frame[3], 1.0), 0.0)
    return x, y, min(rectangle[2] / frame[2], 1 - x), min(rectangle[3] / frame[3], 1 - y)


def _mirror(rectangle: Rectangle) -> Rectangle:
    x, y, width, height = rectangle
    return 1 - (x + width), y, width, height


def _object_token(format: BoxFormat, box: Box) -> int:
    """The class, and above it the flags that the format knows, in steps of `num_classes`."""
    flags = 0
    if format.use_group_parameter:
        flags |= _GROUP_BIT * box.is_group_of
    if format.use_additional_parameters:
        flags |= _OCCLUDED_BIT * box.is_occluded
        flags |= _DEPICTION_BIT * box.is_depiction
        flags |= _INSIDE_BIT * box.is_inside
    return int(box.label) + format.num_classes * flags


def _place_tokens(format: BoxFormat, rectangle: Rectangle) -> list[int]:
    if not format.center_points:
        return _corner_tokens(format, rectangle)
    x, y, width, height = rectangle
    return [_point_token(format, x + width / 2, y + height / 2)]


def _corner_tokens(format: BoxFormat, rectangle: Rectangle) -> list[int]:
    x, y, width, height = rectangle
    return [_point_token(format, x, y), _point_token(format, x + width, y + height)]


def _point_token(format: BoxFormat, x: float, y: float) -> int:
    """The nearest place; halves go to the even neighbor, as Python's `round` has it."""
    last = format.num_sections - 1
    return round(y * last) * format.num_sections + round(x * last)


def _point_from_token(format: BoxFormat, token: int) -> tuple[float, float]:
    """(x, y), both in [0, 1]."""
    sections = format.num_sections
    if not 0 <= token < sections**2:
        raise TokensError(f"Token {token} is no place in the picture; places are 0 to {sections**2 - 1}.")
    y, x = divmod(token, sections)
    return x / (sections - 1), y / (sections - 1)


def _corners_from_tokens(format: BoxFormat, first: int, second: int) -> Rectangle:
    x0, y0 = _point_from_token(format, first)
    x1, y1 = _point_from_token(format, second)
    if x1 < x0 or y1 < y0:
        raise TokensError(f"Tokens {first} and {second} are no rectangle: the second is left of or above the first.")
    return x0, y0, x1 - x0, y1 - y0


def _decode_object(format: BoxFormat, token: int, *places: int) -> Box:
    known = _GROUP_BIT * format.use_group_parameter
    known |= (_OCCLUDED_BIT | _DEPICTION_BIT | _INSIDE_BIT) * format.use_additional_parameters
    flags, label = divmod(token, format.num_classes)
    if flags & ~known:
        raise TokensError(
            f"Token {token} is no object; with {format.num_classes} classes and the flags of this transformer they end "
            f"at {min((known + 1) * format.num_classes, format.none_token) - 1}."
        )
    if format.center_points:
        rectangle = (*_point_from_token(format, *places), 0.0, 0.0)
    else:
        rectangle = _corners_from_tokens(format, *places)
    return Box(
        label,
        *rectangle,
        is_group_of=bool(flags & _GROUP_BIT),
        is_occluded=bool(flags & _OCCLUDED_BIT),
        is_depiction=bool(flags & _DEPICTION_BIT),
        is_inside=bool(flags & _INSIDE_BIT),
    )
