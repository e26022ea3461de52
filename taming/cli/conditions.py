"""What a transformer is told, from the options and files of a command."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from torch import Tensor

from ..conditioning import Box, Condition, ImageCondition, SegmentationCondition, get_condition
from ..conditioning.build import check_kind
from ..conditioning.depth import depth_from_picture
from ..conditioning.labels import find_labels
from ..conditioning.segmentation import read_labels
from ..conditioning.vocabularies import PALETTES, vocabulary
from ..errors import ConditionError
from ..models import Transformer
from ..text import shorten, shorten_error
from ..user_text import user_path
from .images import read_picture

BOX_FIELDS = ("label", "x", "y", "width", "height")


def add_conditions(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--label", help='a class name or number, or several that take turns: "alpine, beach"')
    parser.add_argument("--prompt", metavar="TEXT", help="what to draw, for a model that was trained on words")
    parser.add_argument("--negative", metavar="TEXT", help="what to avoid; needs a --guidance-scale above 1")
    parser.add_argument(
        "--segmentation", type=user_path, metavar="IMAGE", help="a map in the colors or labels of --palette"
    )
    parser.add_argument("--palette", choices=PALETTES, help="whose colors (default: those the model was trained on)")
    parser.add_argument("--depth", type=user_path, metavar="IMAGE", help="a depth map, near = white")
    parser.add_argument(
        "--boxes", type=user_path, metavar="JSON", help=f"a list of objects: {', '.join(BOX_FIELDS)} (0 to 1)"
    )


def read_condition(options: argparse.Namespace, transformer: Transformer, size_px: tuple[int, int]) -> Condition:
    """The condition that `options` describe for a picture of `size_px`, (width, height); maps are scaled to it."""
    given: dict[str, Any] = {"label": options.label, "prompt": options.prompt, "negative": options.negative}
    config = transformer.config.condition
    names = (*given, "segmentation", "depth", "boxes")
    told = {name for name in names if getattr(options, name) is not None}
    check_told(transformer, told)  # this and the kind before a file is read
    check_kind(config, told)
    if options.segmentation is not None and isinstance(config, SegmentationCondition):
        name = options.palette or config.vocabulary
        if not name:
            raise ConditionError("The model does not say which labels it knows. Name them with --palette.")
        given["segmentation"] = read_labels(
            _as_image(options.segmentation, size_px), vocabulary(name), config.num_classes
        )
    if options.depth is not None:
        given["depth"] = depth_from_picture(_as_image(options.depth, size_px))
    if options.boxes is not None:
        given["boxes"] = read_boxes(options.boxes, transformer)
    return get_condition(transformer, **given, batch_size=options.batch_size)


def check_told(transformer: Transformer, told: set[str]) -> None:
    """Raise ConditionError if the transformer has to be told what none of the options in `told` tells."""
    config = transformer.config.condition
    needs_text = transformer.config.context_dim is not None and not config.null_context
    if needs_text or isinstance(config, ImageCondition):
        missing = "the vectors of a text encoder (context)" if needs_text else "a picture (image)"
        raise ConditionError(
            f"The model draws by {missing}, for which this command has no option: use the nodes, or get_condition in "
            "Python."
        )
    if config.is_required and config.arguments[0] not in told:
        raise ConditionError(f"The model draws by {config.kind} and was given none. Give it --{config.arguments[0]}.")


def read_boxes(path: Path, transformer: Transformer) -> list[Box]:
    """The objects in the JSON file at `path`, their labels by name or number.

    Raises: ConditionError if it is no such file, or names what the transformer does not know.
    """
    try:
        entries = json.loads(path.read_bytes())  # which knows a byte order mark
    except OSError as error:
        raise ConditionError(f"{path} cannot be read: {shorten_error(error)}.") from error
    except (ValueError, RecursionError) as error:
        raise ConditionError(f"{path} is not valid JSON: {shorten_error(error)}.") from error
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ConditionError(f"{path}: expected a list of objects, found {shorten(entries)}.")
    config = transformer.config
    boxes = []
    for number, entry in enumerate(entries, start=1):
        if (
            set(entry) != set(BOX_FIELDS)
            or not all(isinstance(entry[field], int | float) for field in BOX_FIELDS[1:])
            or not isinstance(entry["label"], str | int | float)
        ):
            raise ConditionError(
                f"{path}: object {number}: expected {', '.join(BOX_FIELDS)}, the last four as numbers from 0 to 1; "
                f"found {shorten(entry)}."
            )
        (label,) = find_labels(config.condition, config.vocab_size, [entry["label"]])
        boxes.append(Box(label, entry["x"], entry["y"], entry["width"], entry["height"]))
    return boxes


def _as_image(path: Path, size_px: tuple[int, int]) -> Tensor:
    """A picture file as (1, H, W, 3) in [0, 1]; not smoothed, for colors that mean something."""
    return (read_picture(path, size_px, smooth=False).movedim(1, -1) + 1) / 2
