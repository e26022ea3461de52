"""What published configurations say of a transformer's condition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..conditioning import (
    BoxCondition,
    BoxFormat,
    ClassCondition,
    ConditionConfig,
    CoordinateCondition,
    DepthCondition,
    ImageCondition,
    MapCondition,
    SegmentationCondition,
    Unconditional,
)
from ..conditioning.vocabularies import vocabulary
from ..configs import check_names, config_from_dict
from ..errors import ConfigError
from ..models.vqgan import VQModelConfig
from ..text import shorten
from .upstream import check_target, mapping, params_of

LABEL = "taming.modules.util.Labelator"
START_TOKEN = "taming.modules.util.SOSProvider"
COORDINATES = "taming.modules.misc.coord.CoordStage"
BOXES = "taming.models.dummy_cond_stage.DummyCondStage"
WITHOUT_WEIGHTS = (LABEL, START_TOKEN, COORDINATES, BOXES)
UNCONDITIONAL = "__is_unconditional__"
IS_FIRST_STAGE = "__is_first_stage__"

STAGE_PARAMS = {
    LABEL: ("n_classes", "quantize_interface"),
    START_TOKEN: ("sos_token", "quantize_interface"),
    COORDINATES: ("n_embed", "down_factor"),
    BOXES: ("conditional_key",),
}
BOX_KEYS = ("objects_bbox", "objects_center_points")
BOX_SETTINGS = {  # parameters of the published data sets, as fields of a BoxFormat
    "no_tokens": "num_tokens",
    "max_objects_per_image": "max_objects",
    "encode_crop": "encode_crop",
    "use_group_parameter": "use_group_parameter",
    "use_additional_parameters": "use_additional_parameters",
}

# Published names of classes, by how many there are.
CLASS_VOCABULARIES = {1000: "imagenet"}
SEGMENTATION_VOCABULARIES = {151: "ade20k", 183: "coco_stuff", 182: "sflckr"}
BOX_VOCABULARIES = {"AnnotatedObjectsCoco": "coco_scenes", "AnnotatedObjectsOpenImages": "open_images"}


def describes_maps(params: Mapping[str, Any]) -> bool:
    """Whether the condition of a Net2Net has a VQGAN, its own or the first stage."""
    stage = params.get("cond_stage_config")
    if stage == IS_FIRST_STAGE:
        return True
    return (
        params.get("unconditional") is not True
        and isinstance(stage, Mapping)
        and stage.get("target") not in (*WITHOUT_WEIGHTS,)
    )


def condition_config(
    params: Mapping[str, Any], cond_stage: VQModelConfig | None, data: object, where: str
) -> ConditionConfig:
    """The condition of the Net2Net with these `params`; `data` is the section on what it was trained on, if any.

    Raises: ConfigError for a stage that is unknown here, or values of the wrong type.
    """
    where = f"{where}: cond_stage_config"
    stage = params.get("cond_stage_config")
    if params.get("unconditional") is True or stage == UNCONDITIONAL:
        return config_from_dict(Unconditional, {"sos_token": params.get("sos_token", 0)}, where)
    if cond_stage is not None:
        return map_condition(cond_stage, _scaled_side(params, where))
    if not isinstance(stage, Mapping):
        raise ConfigError(
            f"{where}: {shorten(stage)} is not supported; known here are {UNCONDITIONAL}, {IS_FIRST_STAGE}."
        )
    target = check_target(stage, WITHOUT_WEIGHTS, where)
    stage_params = params_of(stage, where)
    check_names(stage_params, STAGE_PARAMS[target], where)
    if target == START_TOKEN:
        return config_from_dict(Unconditional, {"sos_token": stage_params.get("sos_token", 0)}, where)
    if target == COORDINATES:
        fields = {"num_codes": stage_params.get("n_embed"), "down_factor": stage_params.get("down_factor")}
        return config_from_dict(CoordinateCondition, fields, where)
    if target == BOXES:
        return _published_boxes(stage_params.get("conditional_key"), data, where)
    fields = {"num_classes": stage_params.get("n_classes", 0)}
    return class_condition(config_from_dict(ClassCondition, fields, where).num_classes)


def class_condition(num_classes: int) -> ClassCondition:
    """Labels of so many classes, with their published names where there are any."""
    return ClassCondition(num_classes=num_classes, vocabulary=CLASS_VOCABULARIES.get(num_classes, ""))


def map_condition(cond_stage: VQModelConfig, downsample_cond_size: int = 0) -> MapCondition:
    """The condition whose maps `cond_stage` makes tokens of: its channels tell what they show."""
    channels = cond_stage.in_channels
    if channels == 1:
        return DepthCondition(downsample_cond_size)
    if channels == 3:
        return ImageCondition(downsample_cond_size)
    return SegmentationCondition(
        num_classes=channels,
        vocabulary=SEGMENTATION_VOCABULARIES.get(channels, ""),
        downsample_cond_size=downsample_cond_size,
    )


def box_condition(name: str, settings: Mapping[str, Any], where: str) -> BoxCondition:
    """Boxes of the classes of the vocabulary `name`; `settings` are fields of the BoxFormat."""
    values = {"num_classes": len(vocabulary(name).names), **settings}
    return BoxCondition(config_from_dict(BoxFormat, values, where), vocabulary=name)


def _published_boxes(conditional_key: object, data: object, where: str) -> BoxCondition:
    if conditional_key not in BOX_KEYS:
        raise ConfigError(
            f"{where}: conditional_key {shorten(conditional_key)} is unknown; known are {', '.join(BOX_KEYS)}."
        )
    train: Mapping[str, Any] = {}
    if data is not None:
        train = mapping(params_of(mapping(data, "data"), "data").get("train"), "data: params: train")
    given = params_of(train, "data: params: train") if train else {}
    settings = {ours: given[theirs] for theirs, ours in BOX_SETTINGS.items() if theirs in given}
    settings = {"use_group_parameter": True, **settings, "center_points": conditional_key == "objects_center_points"}
    dataset = str(train.get("target")).rpartition(".")[2]
    return box_condition(BOX_VOCABULARIES.get(dataset, "coco_scenes"), settings, where)


def _scaled_side(params: Mapping[str, Any], where: str) -> int:
    side = params.get("downsample_cond_size", -1)
    if type(side) is not int:
        raise ConfigError(f"{where}: downsample_cond_size: expected a whole number, found {shorten(side)}.")
    return max(side, 0)
