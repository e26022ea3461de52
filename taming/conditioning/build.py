"""Building the condition that a transformer was trained with, from what a person has."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from ..errors import ConditionError
from ..text import shorten
from .boxes import Box, shuffle_boxes
from .condition import Condition
from .kinds import (
    BoxCondition,
    ClassCondition,
    ConditionConfig,
    CoordinateCondition,
    MapCondition,
    Unconditional,
    WordCondition,
)
from .labels import Labels, find_labels, known_labels
from .maps import encode_map
from .prefix import BoxPrefix, CoordinatePrefix, FixedPrefix, MapPrefix, Prefix, coordinate_tokens
from .prompts import encode_prompts, label_prompts, report_prompt
from .token_model import MapEncoder, TokenModel

log = logging.getLogger(__name__)

Prompts = str | Sequence[str]
Layouts = Sequence[Box] | Sequence[Sequence[Box]]


def get_condition(
    transformer: TokenModel,
    label: Labels | None = None,
    *,
    prompt: Prompts | None = None,
    negative: Prompts | None = None,
    segmentation: Tensor | None = None,
    depth: Tensor | None = None,
    image: Tensor | None = None,
    boxes: Layouts | None = None,
    coordinates: Tensor | None = None,
    context: Tensor | None = None,
    batch_size: int | None = None,
) -> Condition:
    """Build the condition that `transformer` was trained with.

    Args:
        label: a class name, a number ("3" too), "alpine, beach", or a sequence of them; they take turns in the batch.
            None is unconditional: the start token, or the null label of a class model that was trained with one. A
            model that reads prompts takes it for a prompt, unless it knows a class of that name.
        prompt: for a model that was trained on words, one text or several that take turns; None is no prompt.
        negative: likewise, what guidance moves away from, in place of no prompt.
        segmentation: (B, H, W) or (H, W) int64 labels of the size of the picture.
        depth: (B, H, W) or (H, W), of any range, near = large; each is scaled to its own range.
        image: (B, 3, H, W) in [0, 1], for a model that was trained on pairs of pictures.
        boxes: the objects of one picture, or of each item of a batch.
        coordinates: (B, H, W) in [0, 1]; by default those of the grid, which is what a picture of its own wants.
        context: (B, S, D) or (S, D) vectors, for a cross-attention model; None is no context, if it was trained so.
        batch_size: how many items to draw; by default as many as the condition has. One serves them all.

    Raises:
        ConditionError: the model takes no such condition, lacks the one it takes, or does not know a label.
    """
    config = transformer.config.condition
    given: dict[str, Any] = {
        "label": label,
        "prompt": prompt,
        "negative": negative,
        "segmentation": segmentation,
        "depth": depth,
        "image": image,
        "boxes": boxes,
        "coordinates": coordinates,
    }
    check_kind(config, {name for name, value in given.items() if value is not None})
    _check_types(given | {"context": context}, batch_size)
    if label is not None and isinstance(config, WordCondition):
        given["prompt"] = label_prompts(config, label)
    prefix = _make_prefix(transformer, config, given)
    null_prefix = prefix if config.null_context else None
    null = config.null_tokens(transformer.config.vocab_size)
    if negative is not None and isinstance(config, WordCondition):
        null_prefix = _word_prefix(config, transformer.config.vocab_size, negative)
        prefix, null_prefix = _of_one_size(prefix, null_prefix)
    elif null is not None:
        null_prefix = FixedPrefix(torch.tensor([null])).expand(prefix.batch_size)
    condition = Condition(transformer, prefix, null_prefix, context=None)
    if context is not None or transformer.config.context_dim is not None:
        condition = _with_context(condition, context)
    return condition if batch_size is None else condition.expand(batch_size)


def _make_prefix(transformer: TokenModel, config: ConditionConfig, given: Mapping[str, Any]) -> Prefix:
    """The prefix of the condition `config` of `transformer` from the arguments `given`, which `check_kind` has seen."""
    vocab_size = transformer.config.vocab_size
    match config:
        case Unconditional():
            return FixedPrefix(torch.tensor([[config.sos_token]]))
        case ClassCondition():
            return _class_prefix(config, vocab_size, given["label"])
        case WordCondition():
            return _word_prefix(config, vocab_size, given["prompt"])
        case CoordinateCondition():
            return _coordinate_prefix(config, vocab_size, given["coordinates"])
        case BoxCondition():
            return _box_prefix(config, given["boxes"])
        case MapCondition():
            return _map_prefix(config, transformer.cond_stage, given[config.kind])
        case _:
            raise TypeError(f"{type(config).__name__} is no kind of condition that has a prefix.")


def _map_prefix(config: MapCondition, stage: MapEncoder | None, value: Tensor) -> Prefix:
    if stage is None:
        raise ConditionError(
            "This transformer reads maps as tokens and came without the VQGAN that makes them (cond_stage_model). "
            "Load it from its whole checkpoint."
        )
    with torch.no_grad():
        return encode_map(config, stage, config.map_pixels(value))


def _class_prefix(config: ClassCondition, vocab_size: int, label: Labels | None) -> Prefix:
    if label is None and config.null_label is None:
        raise ConditionError(
            f"This transformer draws classes and was given no label. {known_labels(config, vocab_size)}"
        )
    tokens = [config.null_label] if label is None else find_labels(config, vocab_size, label)
    return FixedPrefix(torch.tensor(tokens, dtype=torch.int64)[:, None])  # (B, 1)


def _word_prefix(config: WordCondition, vocab_size: int, prompt: Prompts | None) -> Prefix:
    prompts = [prompt or ""] if prompt is None or isinstance(prompt, str) else list(prompt)
    if not prompts:
        raise ConditionError("The list of prompts is empty. Give one for all pictures, or one for each.")
    for each in dict.fromkeys(prompts):
        report_prompt(config, each)
    return FixedPrefix(encode_prompts(config, vocab_size, prompts))


def _of_one_size(prefix: Prefix, null_prefix: Prefix) -> tuple[Prefix, Prefix]:
    """Prompts and negative prompts of one batch; one of either serves several of the other."""
    size = max(prefix.batch_size, null_prefix.batch_size)
    if not {prefix.batch_size, null_prefix.batch_size} <= {1, size}:
        raise ConditionError(
            f"There are {prefix.batch_size} prompts and {null_prefix.batch_size} negative ones. Give one negative "
            "prompt for all, or one for each."
        )
    return prefix.expand(size), null_prefix.expand(size)


def _coordinate_prefix(config: CoordinateCondition, vocab_size: int, coordinates: Tensor | None) -> Prefix:
    if coordinates is None:
        return CoordinatePrefix(1, config.num_codes, config.down_factor, vocab_size)
    return MapPrefix(coordinate_tokens(coordinates, config.num_codes, config.down_factor, vocab_size))


def _box_prefix(config: BoxCondition, boxes: Layouts) -> Prefix:
    limit = config.boxes.max_objects
    layouts = _as_layouts(boxes)
    # The models were trained on shuffled boxes: whatever order they come in must not matter to how they are read.
    if max(map(len, layouts)) > limit:
        log.warning("%d boxes, of which the transformer reads the first %d.", max(map(len, layouts)), limit)
    return BoxPrefix(config.boxes, tuple(tuple(shuffle_boxes(layout[:limit], seed=0)) for layout in layouts))


def _as_layouts(boxes: Layouts) -> list[Sequence[Box]]:
    """The boxes of each item of a batch.

    Raises: ConditionError for anything but boxes, or lists of them.
    """
    entries = boxes if isinstance(boxes, Sequence) else [boxes]
    single = [entry for entry in entries if isinstance(entry, Box)]
    if len(single) == len(entries):
        return [single]
    for layout in entries:
        wrong = [box for box in layout if not isinstance(box, Box)] if isinstance(layout, Sequence) else [layout]
        if wrong:
            raise ConditionError(
                f"boxes must be a list of taming.conditioning.Box, or such a list for each item of the batch; found "
                f"{shorten(wrong[0])}."
            )
    return [layout for layout in entries if isinstance(layout, Sequence)]


_GIVEN = {
    "label": "A label was",
    "prompt": "A prompt was",
    "negative": "A negative prompt was",
    "segmentation": "A segmentation was",
    "depth": "A depth map was",
    "image": "An image was",
    "boxes": "Boxes were",
    "coordinates": "Coordinates were",
}


def check_kind(config: ConditionConfig, given: set[str]) -> None:
    """Raise ConditionError unless the arguments of `get_condition` that are `given` are those that the model needs."""
    wrong = sorted(given - set(config.arguments))
    if {"prompt", "label"} <= given & set(config.arguments):
        raise ConditionError("A label is a prompt to this transformer, and both were given. Leave one of them out.")
    if wrong:
        trained = f"to be told its {config.arguments[0]}" if config.arguments else "without a condition"
        raise ConditionError(
            f"{_GIVEN[wrong[0]]} given to a transformer that was trained {trained}. Leave that out, or load another "
            "model."
        )
    if config.is_required and config.arguments[0] not in given:
        raise ConditionError(
            f"This transformer draws by {config.kind} and was given none. Give it {config.arguments[0]}=..."
        )


def _check_types(given: dict[str, Any], batch_size: int | None) -> None:
    """Raise ConditionError for maps that are no tensors, prompts that are no texts, or a batch of no size."""
    for name in ("segmentation", "depth", "image", "coordinates", "context"):
        if given[name] is not None and not isinstance(given[name], Tensor):
            raise ConditionError(
                f"{name} must be a tensor; found a {type(given[name]).__name__}. torch.as_tensor makes one of an array."
            )
    for name in ("prompt", "negative"):
        prompts = given[name]
        prompts = prompts if isinstance(prompts, Iterable) and not isinstance(prompts, str) else [prompts]
        wrong = [each for each in prompts if not isinstance(each, str | None)]
        if wrong:
            raise ConditionError(f"{name} must be a text, or a list of texts; found {shorten(wrong[0])}.")
    if batch_size is not None and not (isinstance(batch_size, Integral) and batch_size >= 1):
        raise ConditionError(f"batch_size is {shorten(batch_size)}; it must be a whole number of 1 or more.")


def _with_context(condition: Condition, context: Tensor | None) -> Condition:
    config = condition.transformer.config
    dim = config.context_dim
    if dim is None:
        raise ConditionError(
            "A context was given to a transformer without cross-attention. Leave the context out, "
            "or load a transformer that was built with context_dim."
        )
    if context is None and config.condition.null_context:
        context = torch.zeros(1, 1, dim)
    if context is None:
        raise ConditionError(
            f"This transformer attends to a context and was given none. Give it (B, S, {dim}) vectors."
        )
    if context.dim() == 2:
        context = context[None]  # (1, S, D)
    if context.dim() != 3 or context.shape[-1] != dim:
        raise ConditionError(
            f"The context has shape {tuple(context.shape)}; this transformer attends to (B, S, {dim}) vectors."
        )
    if not context.isfinite().all():
        raise ConditionError("The context has vectors that are NaN or infinite. Replace them first.")
    if context.shape[0] == 1:
        context = context.expand(condition.batch_size, -1, -1)
    null_context = torch.zeros_like(context) if config.condition.null_context else None
    return replace(condition, context=context, null_context=null_context).expand(len(context))
