"""What a transformer will be told, from a recipe, its data and the VQGANs that it names."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ..conditioning import (
    KINDS,
    BoxCondition,
    BoxFormat,
    ClassCondition,
    ConditionConfig,
    CoordinateCondition,
    DepthCondition,
    MapCondition,
    SegmentationCondition,
    Unconditional,
    WordCondition,
    read_word_list,
)
from ..errors import ConfigError
from ..models.transformer import TransformerConfig
from ..models.vqgan import VQModel
from ..text import shorten
from .captions import collect_captions, make_word_list
from .datasets import Data
from .recipe import ConditionSettings


def make_condition_config(
    settings: ConditionSettings, data: Data, first_stage: VQModel, stage: VQModel | None, vocab: int
) -> ConditionConfig:
    """The condition of a transformer with a vocabulary of `vocab` tokens, in its file's terms.

    Raises: ConfigError if the data has no classes or captions to tell, or the settings lack what their kind needs.
    """
    class_names = data.training.class_names
    kind = settings.kind if settings.kind != "auto" else ("class" if class_names else "unconditional")
    if issubclass(KINDS[kind], MapCondition) != (stage is not None):
        raise ConfigError(
            f"condition.kind is {kind} and condition.stage is {settings.stage!r}: maps need the checkpoint of a VQGAN "
            "that makes tokens of them, and nothing else does."
        )
    match kind:
        case "unconditional":
            return Unconditional()
        case "class":
            if not class_names:
                raise ConfigError(
                    "condition.kind is class, and the data has no labels. Set data.labels, or another kind."
                )
            count = len(class_names)
            return ClassCondition(num_classes=count, class_names=class_names, null_label=count)
        case "words":
            return _words_config(settings, data)
        case "segmentation":
            assert stage is not None
            return SegmentationCondition(num_classes=stage.config.in_channels, vocabulary=settings.vocabulary)
        case "depth":
            return DepthCondition()
        case "boxes":
            if not data.box_names:
                raise ConfigError("condition.kind is boxes, and the data has none. Set data.boxes, or data.has_maps.")
            boxes = BoxFormat(len(data.box_names), vocab, settings.max_objects, settings.center_points)
            return BoxCondition(boxes, class_names=data.box_names)
        case "coordinates":
            return CoordinateCondition(num_codes=settings.num_codes, down_factor=first_stage.factor)


def _words_config(settings: ConditionSettings, data: Data) -> WordCondition:
    captions, vocabulary = collect_captions(data.training), settings.vocabulary or "captions"
    word_list = make_word_list(captions) if vocabulary == "captions" else read_word_list(vocabulary)
    prompts = settings.class_prompts
    if not all(isinstance(prompt, str) for prompt in prompts.values()):
        raise ConfigError(f"condition.class_prompts: expected a text for each name, found {shorten(prompts)}.")
    for name in prompts:
        if not isinstance(name, str) and type(name) is not int:  # as YAML reads `on`
            raise ConfigError(f"condition.class_prompts: YAML reads a name as {name!r}. Put it in quotes.")
    return WordCondition(
        word_list=word_list,
        max_words=settings.max_words,
        class_names=tuple(map(str, prompts)),
        class_prompts=tuple(prompts.values()),
    )


def with_condition(config: TransformerConfig, condition: ConditionConfig) -> TransformerConfig:
    """The `config` of a recipe with its condition; the words of a prompt see each other in both directions.

    Raises: ConfigError if the recipe gives other numbers than follow from the condition.
    """
    follows = {"cond_vocab_size": condition.num_cond_tokens}
    if isinstance(condition, WordCondition):
        follows["n_unmasked"] = condition.max_words
    for name, value in follows.items():
        if getattr(config, name) not in (0, value):
            raise ConfigError(f"model.{name} is {getattr(config, name)} and follows from the condition. Leave it out.")
    return replace(config, condition=condition, **follows)


def shuffle_objects(prefix: Tensor, format: BoxFormat, generator: torch.Generator) -> Tensor:
    """The same boxes, (B, S) tokens, in another order: a list of boxes has none that means anything."""
    end = format.max_objects * format.tokens_per_object
    objects = prefix[:, :end].unflatten(1, (format.max_objects, -1))  # (B, N, tokens of one)
    keys = torch.rand(objects.shape[:2], generator=generator)
    keys[objects[:, :, 0] == format.none_token] = 2.0  # those that are missing stay behind
    order = keys.argsort(dim=1)[:, :, None].expand_as(objects)
    return torch.cat([objects.gather(1, order).flatten(1), prefix[:, end:]], dim=1)
