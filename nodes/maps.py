"""The node for maps: pictures of labels, of depth, or any picture that a transformer was trained to draw by."""

from __future__ import annotations

import torch
from comfy_api.latest import io
from torch import Tensor

from ..taming.conditioning import DepthCondition, MapCondition, SegmentationCondition, encode_map
from ..taming.conditioning.depth import depth_from_picture
from ..taming.conditioning.segmentation import read_labels
from ..taming.conditioning.vocabularies import PALETTES, Vocabulary, vocabulary
from ..taming.errors import ConditionError
from . import host
from .cancel import Cancelable
from .codec import as_rgb, crop
from .conditions import IMAGE_CONDITION, check_node
from .errors import blaming
from .memory_estimates import encode_bytes
from .types import Condition, ConditionSocket, MapTokens, TransformerHandle, TransformerSocket, VQGANHandle


class TamingImageCondition(io.ComfyNode):
    """IMAGE to a condition."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TamingImageCondition",
            display_name=IMAGE_CONDITION,
            category="Taming/conditioning",
            description="Tells a transformer what to draw where: by a segmentation map or a depth map, whichever the "
            "transformer was trained on.",
            search_aliases=["controlnet", "segmentation map", "depth map", "semantic map", "control image", "taming"],
            inputs=[
                TransformerSocket.Input("transformer", tooltip="The transformer that will draw by the map."),
                io.Image.Input(
                    "image",
                    tooltip="Maps of the size of the pictures to draw: one for the whole batch, or one for each. A "
                    "segmentation in the colors of the palette, or gray with the label as value (0 to 255); or depth "
                    "in gray, near = white, as depth nodes draw it.",
                ),
                io.Combo.Input(
                    "palette",
                    optional=True,
                    default=host.AUTO,
                    options=[host.AUTO, *PALETTES],
                    tooltip="Which colors stand for which label. auto takes those of the pictures that the transformer "
                    "was trained on. Without effect on gray label images and on depth.",
                    advanced=True,
                ),
            ],
            outputs=[
                ConditionSocket.Output("condition", display_name="CONDITION", tooltip="For Sample Tokens."),
            ],
        )

    @classmethod
    def execute(cls, transformer: TransformerHandle, image: Tensor, palette: str = host.AUTO) -> io.NodeOutput:
        with blaming("transformer"):
            config = check_node(transformer, IMAGE_CONDITION)
            stage = cond_stage_of(transformer)
        assert isinstance(config, MapCondition)  # check_node
        with blaming("image"):
            maps = encode_maps(config, stage, crop(as_rgb(image), stage.config.factor), palette)
        return io.NodeOutput(Condition(maps, transformer.name, config))


def cond_stage_of(transformer: TransformerHandle) -> VQGANHandle:
    """The VQGAN of the transformer's maps.

    Raises: ConditionError if its file has none.
    """
    if transformer.cond_stage is None:
        raise ConditionError(
            f"{transformer.name} came without the VQGAN that makes tokens of its maps (cond_stage_model). "
            "Load the whole checkpoint."
        )
    return transformer.cond_stage


def encode_maps(config: MapCondition, stage: VQGANHandle, image: Tensor, palette: str) -> MapTokens:
    """Tokens of maps, (B, H, W, 3), one at a time: they must not depend on the batch."""
    progress = host.Progress(len(image))
    height, width = (max(side, config.downsample_cond_size) for side in image.shape[1:3])
    prefixes = []
    with host.placed(stage, encode_bytes(stage.config, height, width)) as device, Cancelable():
        for done, item in enumerate(image.split(1), start=1):
            pixels = config.map_pixels(read_map(config, item, palette).to(device))
            prefixes.append(encode_map(config, stage.model, pixels.to(host.vqgan_dtype(device))))
            progress.update(done)
    indices = torch.cat([prefix.tokens for prefix in prefixes]).cpu()
    return MapTokens(indices, prefixes[0].is_scaled, stage.tokenizer)


def read_map(config: MapCondition, image: Tensor, palette: str) -> Tensor:
    """What `config.map_pixels` takes of `image`, (B, H, W, 3): labels or depth, (B, H, W), or images, (B, 3, H, W)."""
    image = image.float()
    if isinstance(config, SegmentationCondition):
        name = config.vocabulary if palette == host.AUTO else palette
        return read_labels(image, vocabulary(name) if name else Vocabulary(host.AUTO, ()), config.num_classes)
    if isinstance(config, DepthCondition):
        return depth_from_picture(image)
    return image.movedim(-1, 1)  # (B, 3, H, W)
