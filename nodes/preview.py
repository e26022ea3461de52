"""The live picture of a sampling run, on the node that draws."""

from __future__ import annotations

import time
from functools import partial

import torch
from PIL import Image
from torch import Tensor

from . import host
from .budgets import decode_bytes
from .tiles import decode_tiles
from .types import Tokens, TransformerHandle, VQGANHandle

SHARE = 0.1  # of the way: show a picture at least this often,
INTERVAL_SECONDS = 1.0  # and whenever this much time has passed,
PAUSE = 4.0  # or this many times what the last picture took, if that is more
UNKNOWN_GRAY = 128
CELL_PX = 16  # of a token shown as a color
GOLDEN_RATIO = 0.618034


class GrowingPicture:
    """Called after every token: moves the progress bar, shows the picture so far, and lets the user cancel.

    Without a first stage to decode with, it shows the tokens as colors. A grid that is larger than the transformer was
    trained on is decoded in tiles of that size, so that showing it takes no more memory.
    """

    def __init__(self, transformer: TransformerHandle, tokens: Tokens) -> None:
        self._decoder = transformer.first_stage if host.wants_previews() else None
        self._tile = max(transformer.config.grid)
        self._tile_shape = [min(self._tile, side) for side in tokens.indices.shape[1:]]
        self.part, self.num_parts = 0, 1  # of the batch, where it is drawn in several
        self._progress: host.Progress | None = None
        self._due_step = 0.0
        self._due_time = 0.0

    @property
    def companions(self) -> list[VQGANHandle]:
        """What has to be placed beside the transformer."""
        return [self._decoder] if self._decoder else []

    @property
    def memory(self) -> int:
        """Bytes that showing a picture takes."""
        return decode_bytes(self._decoder.config, *self._tile_shape) if self._decoder else 0

    def __call__(self, done: int, total: int, indices: Tensor, known: Tensor) -> None:
        done, total = self.part * total + done, self.num_parts * total
        self._progress = self._progress or host.Progress(total)
        picture = None
        if host.wants_previews() and (done >= self._due_step or time.monotonic() >= self._due_time or done == total):
            start = time.monotonic()
            picture = self._draw(indices[:1], known[0].cpu())
            end = time.monotonic()
            self._due_step = done + SHARE * total
            self._due_time = end + max(INTERVAL_SECONDS, PAUSE * (end - start))
        self._progress.update(done, picture, total)

    def _draw(self, indices: Tensor, shown: Tensor) -> Image.Image:
        height = shown.shape[0]
        # The decoder looks at the whole picture: cells that are not drawn yet repeat the last one above them.
        above = torch.where(shown, torch.arange(height)[:, None], 0).cummax(0).values
        picture = self._decoded(indices.gather(1, above[None].to(indices.device)))
        factor = picture.shape[0] // height
        picture[~shown.repeat_interleave(factor, 0).repeat_interleave(factor, 1)] = UNKNOWN_GRAY
        return Image.fromarray(picture.numpy())

    def _decoded(self, indices: Tensor) -> Tensor:
        """Colors of the tokens (1, h, w), (H, W, 3) uint8."""
        if self._decoder is not None:
            there = indices.to(self._decoder.patcher.load_device)
            decode, factor = self._decoder.model.decode_indices, self._decoder.config.factor
            pixels = host.unless_out_of_memory(partial(decode_tiles, decode, there, self._tile, factor))
            if pixels is not None:
                return (host.to_image(pixels)[0].cpu().float() * 255).byte()
            self._decoder = None
        return token_colors(indices[0].cpu())


def token_colors(indices: Tensor) -> Tensor:
    """A color for each token of a grid (h, w), in blocks of CELL_PX: (H, W, 3) uint8."""
    hue = (indices * GOLDEN_RATIO % 1 * 255).byte()
    value = (indices * GOLDEN_RATIO**2 % 1 * 127 + 128).byte()
    layers = [Image.fromarray(layer.numpy()) for layer in (hue, torch.full_like(hue, 160), value)]
    picture = Image.merge("HSV", layers).convert("RGB")
    colors = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8).view(*indices.shape, 3)  # (h, w, 3)
    return colors.repeat_interleave(CELL_PX, 0).repeat_interleave(CELL_PX, 1)
