"""What a transformer will be told, from a recipe, its data and the VQGANs that it names."""

from __future__ import annotations

import torch
from torch import Tensor

from ..conditioning import MAP_KINDS, BoxFormat, ConditionConfig
from ..errors import ConfigError
from ..models.vqgan import VQModel
from .datasets import Data
from .recipe import ConditionSettings


def make_condition_config(
    settings: ConditionSettings, data: Data, first_stage: VQModel, stage: VQModel | None, vocab: int
) -> ConditionConfig:
    """The condition of a transformer with a vocabulary of `vocab` tokens, in its file's terms.

    Raises: ConfigError if the data has no classes to tell, or the settings lack what their kind needs.
    """
    class_names = data.training.class_names
    kind = settings.kind if settings.kind != "auto" else ("class" if class_names else "unconditional")
    if (kind in MAP_KINDS) != (stage is not None):
        raise ConfigError(
            f"condition.kind is {kind} and condition.stage is {settings.stage!r}: maps need the checkpoint of a VQGAN "
            "that makes tokens of them, and nothing else does."
        )
    if kind == "class" and not class_names:
        raise ConfigError("condition.kind is class, and the data has no labels. Set data.labels, or another kind.")
    if kind == "class":
        count = len(class_names)
        return ConditionConfig(kind="class", num_classes=count, class_names=class_names, null_label=count)
    if kind == "segmentation":
        assert stage is not None
        return ConditionConfig(kind=kind, num_classes=stage.config.in_channels, vocabulary=settings.vocabulary)
    if kind == "boxes":
        if not data.box_names:
            raise ConfigError("condition.kind is boxes, and the data has none. Set data.boxes, or data.has_maps.")
        boxes = BoxFormat(len(data.box_names), vocab, settings.max_objects, settings.center_points)
        return ConditionConfig(kind=kind, class_names=data.box_names, boxes=boxes)
    if kind == "coordinates":
        return ConditionConfig(kind=kind, num_codes=settings.num_codes, down_factor=first_stage.factor)
    return ConditionConfig(kind=kind)


def shuffle_objects(prefix: Tensor, format: BoxFormat, generator: torch.Generator) -> Tensor:
    """The same boxes, (B, S) tokens, in another order: a list of boxes has none that means anything."""
    end = format.max_objects * format.tokens_per_object
    objects = prefix[:, :end].unflatten(1, (format.max_objects, -1))  # (B, N, tokens of one)
    keys = torch.rand(objects.shape[:2], generator=generator)
    keys[objects[:, :, 0] == format.none_token] = 2.0  # those that are missing stay behind
    order = keys.argsort(dim=1)[:, :, None].expand_as(objects)
    return torch.cat([objects.gather(1, order).flatten(1), prefix[:, end:]], dim=1)
