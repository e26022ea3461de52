"""Training pictures as a transformer reads them: tokens of what it is told, and the picture's own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..conditioning import (
    Box,
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
    coordinate_tokens,
    encode_boxes,
    encode_map,
    encode_prompts,
)
from ..data import Sample
from ..errors import TamingError
from ..models.vqgan import VQModel
from .batches import to_pixels
from .token_cache import Reading


class PictureReader:
    """Reads with the tokenizer `vqgan`, for a transformer of `vocab_size` codes; maps are read with their `stage`."""

    def __init__(self, vqgan: VQModel, config: ConditionConfig, stage: VQModel | None, vocab_size: int) -> None:
        self.vqgan, self.config, self.stage, self.vocab_size = vqgan, config, stage, vocab_size

    @torch.no_grad()
    def __call__(self, samples: Sequence[Sample]) -> Reading:
        """Read samples of one size, each for itself; the result is on the CPU.

        Raises: TamingError if one lacks what is told.
        """
        pixels = to_pixels([sample.image for sample in samples]).to(self._device)
        return Reading(self.prefix(samples).cpu(), self.vqgan.encode(pixels).indices.cpu())

    def prefix(self, samples: Sequence[Sample]) -> Tensor:
        """What the transformer is told of `samples`, (B, S) int64."""
        config = self.config
        match config:
            case Unconditional():
                return torch.full((len(samples), 1), config.sos_token)
            case ClassCondition():
                return torch.tensor([[self._told(sample.label)] for sample in samples])
            case WordCondition():  # a picture without a caption has the null prompt
                return encode_prompts(config, self.vocab_size, [sample.caption for sample in samples])
            case BoxCondition():
                return torch.tensor([_box_tokens(config.boxes, sample) for sample in samples])
            case CoordinateCondition():
                maps = torch.from_numpy(np.stack([coordinates(sample) for sample in samples]))  # (B, H, W)
                codes, factor = config.num_codes, config.down_factor
                return coordinate_tokens(maps, codes, factor, codes).flatten(1)  # (B, h * w)
            case SegmentationCondition():
                return self._map_tokens(config, [self._told(sample.segmentation) for sample in samples])
            case DepthCondition():
                return self._map_tokens(config, [self._told(sample.depth) for sample in samples])
            case _:
                raise TypeError(f"Training samples hold nothing for a {type(config).__name__}.")

    def _map_tokens(self, config: MapCondition, maps: Sequence[np.ndarray]) -> Tensor:
        """Tokens (B, h * w) of maps, each (H, W)."""
        assert self.stage is not None
        pixels = config.map_pixels(torch.from_numpy(np.stack(maps)).to(self._device))  # (B, C, H, W)
        return encode_map(config, self.stage, pixels).tokens.flatten(1)  # (B, h * w)

    @property
    def _device(self) -> torch.device:
        return self.vqgan.decoder.conv_out.weight.device

    def _told(self, value):
        if value is None:
            raise TamingError(
                f"A picture has no {self.config.kind}, which this recipe's transformer is told (condition.kind). Give "
                "it one, leave the picture out, or train without."
            )
        return value


def _box_tokens(format: BoxFormat, sample: Sample) -> list[int]:
    layout = [Box(box.label, box.x, box.y, box.width, box.height) for box in sample.boxes]
    return encode_boxes(format, layout, sample.crop, sample.is_flipped)


def coordinates(sample: Sample) -> np.ndarray:
    """Where in the whole picture each pixel of a crop lies, (H, W) float32: 0 to almost 1 in raster order."""
    height, width = sample.image.shape[:2]
    left, top, share_x, share_y = sample.crop
    whole_width, whole_height = round(width / share_x), round(height / share_y)
    rows = round(top * whole_height) + np.arange(height)[:, None]
    columns = round(left * whole_width) + np.arange(width)[None]
    places = (rows * whole_width + columns) / (whole_height * whole_width)
    return (places[:, ::-1] if sample.is_flipped else places).astype(np.float32)
