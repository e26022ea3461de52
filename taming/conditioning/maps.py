"""Maps as conditions: what their stage, a VQGAN of their own, makes tokens of."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ..errors import ConditionError
from .config import ConditionConfig
from .depth import normalize_depth
from .prefix import MapPrefix
from .segmentation import one_hot
from .token_model import MapEncoder


def encode_map(config: ConditionConfig, stage: MapEncoder, pixels: Tensor) -> MapPrefix:
    """Tokens of a map, (B, C, H, W) as its stage was trained on: one-hot labels, depth or pixels in [-1, 1]."""
    side = config.downsample_cond_size
    if side:
        pixels = F.interpolate(pixels, size=(side, side))  # nearest, as the reference does
    return MapPrefix(stage.encode(pixels).indices, is_scaled=bool(side))


def map_pixels(config: ConditionConfig, value: Tensor) -> Tensor:
    """What the stage of a map encodes, (B, C, H, W), from labels or depth (B, H, W), or an image (B, 3, H, W).

    Raises: ConditionError for another shape, or labels, depth or pixels that no map has.
    """
    if config.kind == "image":
        return _check_image(value) * 2 - 1
    if value.dim() not in (2, 3):
        raise ConditionError(f"A {config.kind} map has shape (B, H, W) or (H, W); found {tuple(value.shape)}.")
    value = value if value.dim() == 3 else value.unsqueeze(0)
    return one_hot(value, config.num_classes) if config.kind == "segmentation" else normalize_depth(value)


def _check_image(image: Tensor) -> Tensor:
    if image.dim() != 4 or image.shape[1] != 3 or not image.is_floating_point():
        raise ConditionError(
            f"An image has shape (B, 3, H, W), in [0, 1]; found {tuple(image.shape)} of {image.dtype}. "
            "Move the channels forward, or divide 8-bit values by 255."
        )
    if not image.isfinite().all():
        raise ConditionError("The image has values that are NaN or infinite. Replace them first.")
    return image
