"""Maps as conditions: what their stage, a VQGAN of their own, makes tokens of."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from .kinds import MapCondition
from .prefix import MapPrefix
from .token_model import MapEncoder


def encode_map(config: MapCondition, stage: MapEncoder, pixels: Tensor) -> MapPrefix:
    """Tokens of a map, (B, C, H, W) as its stage was trained on: one-hot labels, depth or pixels in [-1, 1]."""
    side = config.downsample_cond_size
    if side:
        pixels = F.interpolate(pixels, size=(side, side))  # nearest, as the reference does
    return MapPrefix(stage.encode(pixels).indices, is_scaled=bool(side))
