"""Nodes between pictures and tokens."""

from __future__ import annotations

import logging
from functools import partial

import torch
from comfy_api.latest import io
from torch import Tensor

from ..taming.data import whole_cells
from ..taming.errors import TamingError, UnsupportedCheckpointError
from . import host
from .cancel import Cancelable
from .errors import blaming
from .host_memory import check_memory
from .memory_estimates import decode_bytes, encode_bytes
from .tiles import decode_tiles
from .types import Tokens, TokensSocket, VQGANHandle, VQGANSocket

log = logging.getLogger(__name__)

SHOWN = 5  # pictures in a message
PICTURE_BYTES = 28  # for each pixel of decoded pictures until all are one batch, which has 12
MIN_TILE = 8  # cells; smaller tiles would see too little of the picture


class TamingEncode(io.ComfyNode):
    """IMAGE to TOKENS."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TamingEncode",
            display_name="Encode to Tokens",
            category="Taming/tokens",
            description="Turns pictures into grids of tokens: for every patch, the number of the most similar code.",
            search_aliases=["vae encode", "vqgan encode", "encode image", "image to tokens", "tokenize", "taming"],
            inputs=[
                VQGANSocket.Input("vqgan", tooltip="The VQGAN whose codes the tokens will name."),
                io.Image.Input(
                    "image",
                    tooltip="Pictures of any size. Sides are center-cropped to a multiple of the token size (8 or 16 "
                    "px for most models). Transparency is left out.",
                ),
            ],
            outputs=[TokensSocket.Output("tokens", display_name="TOKENS", tooltip="One grid per picture.")],
        )

    @classmethod
    def execute(cls, vqgan: VQGANHandle, image: Tensor) -> io.NodeOutput:
        with blaming("vqgan"):
            check_pictures(vqgan, vqgan.config.in_channels)
        with blaming("image"):
            image = crop(as_rgb(image), vqgan.config.factor)
            return io.NodeOutput(Tokens.of(encode(vqgan, image), vqgan.tokenizer))


class TamingDecode(io.ComfyNode):
    """TOKENS to IMAGE."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TamingDecode",
            display_name="Decode Tokens",
            category="Taming/tokens",
            description="Turns grids of tokens back into pictures.",
            search_aliases=["vae decode", "vqgan decode", "tokens to image", "detokenize", "taming"],
            inputs=[
                VQGANSocket.Input("vqgan", tooltip="The VQGAN that the tokens belong to."),
                TokensSocket.Input("tokens", tooltip="Token grids with every cell known."),
            ],
            outputs=[io.Image.Output("image", display_name="IMAGE", tooltip="One picture a grid.")],
        )

    @classmethod
    def execute(cls, vqgan: VQGANHandle, tokens: Tokens) -> io.NodeOutput:
        with blaming("vqgan"):
            check_pictures(vqgan, vqgan.config.out_ch)
        with blaming("tokens"):
            tokens.check_known()
            tokens.check_tokenizer(vqgan.tokenizer)
            return io.NodeOutput(host.to_image(decode(vqgan, tokens.indices)))


def check_pictures(vqgan: VQGANHandle, channels: int) -> None:
    """Raise unless the VQGAN works on RGB pictures."""
    if channels != 3:
        raise UnsupportedCheckpointError(
            f"{vqgan.tokenizer.name} works on {channels} channels, not on pictures. Load one trained on pictures."
        )


def as_rgb(image: Tensor) -> Tensor:
    """An IMAGE (B, H, W, C) with three channels: gray is repeated, alpha is dropped as the host's VAE Encode does."""
    channels = image.shape[-1]
    if image.shape[0] == 0:
        raise TamingError("the batch is empty. Connect at least one picture.")
    check_finite(image)
    if channels == 1:
        return image.expand(-1, -1, -1, 3)
    if channels not in (3, 4):
        raise TamingError(f"it has {channels} channels. Connect a picture with 1 (gray), 3 (RGB) or 4 (RGBA).")
    return image[..., :3]


def check_finite(image: Tensor) -> None:
    """Raise TamingError for values of an IMAGE (B, H, W, C) that are none."""
    if image.sum(dtype=torch.float32).isfinite():  # takes less memory than a look at every value
        return
    numbers = [str(number) for number, item in enumerate(image, start=1) if not item.isfinite().all()]
    if numbers:
        more = ", ..." if len(numbers) > SHOWN else ""
        raise TamingError(
            f"it has values that are NaN or infinite (picture {', '.join(numbers[:SHOWN])}{more} of {len(image)}). "
            "Mend it where it is made; if a VAE fails in half precision, start ComfyUI with --fp32-vae."
        )


def crop(image: Tensor, factor: int) -> Tensor:
    """The middle of an IMAGE (B, H, W, C) whose sides are multiples of `factor`."""
    height, width = image.shape[1:3]
    rows, columns = whole_cells(width, height, factor)
    return image[:, rows, columns]


def encode(vqgan: VQGANHandle, image: Tensor) -> Tensor:
    """Tokens (B, h, w) of an IMAGE (B, H, W, 3), one picture at a time: tokens must not depend on the batch."""
    progress = host.Progress(len(image))
    grids = []
    with host.placed(vqgan, encode_bytes(vqgan.config, *image.shape[1:3])) as device, Cancelable():
        for done, item in enumerate(image.split(1), start=1):
            grids.append(vqgan.model.encode(host.to_pixels(item, device)).indices.cpu())
            progress.update(done)
    return torch.cat(grids)


def decode(vqgan: VQGANHandle, indices: Tensor) -> Tensor:
    """Pixels (B, 3, H, W) in [-1, 1] of tokens (B, h, w), on the CPU.

    It goes one picture at a time, so that none depends on its batch. The model itself computes large ones in chunks,
    which changes nothing. When memory runs out all the same it goes in ever smaller tiles, which does: normalization
    and attention then see a tile instead of the picture.
    """
    check_memory(indices.numel() * vqgan.config.factor**2 * PICTURE_BYTES)
    progress = host.Progress(len(indices))
    tile = max(indices.shape[1:])
    pictures: list[Tensor] = []
    while len(pictures) < len(indices):
        item = indices[len(pictures) :][:1]
        pixels = host.unless_out_of_memory(partial(_decode_item, vqgan, item, tile))
        if pixels is not None:
            pictures.append(pixels)
            progress.update(len(pictures))
        elif tile > MIN_TILE:
            tile = max(MIN_TILE, -(-tile // 2))
            log.warning("Decode Tokens: out of memory, trying overlapping tiles of %d px.", tile * vqgan.config.factor)
        else:
            raise host.NotEnoughMemory("memory ran out even for small tiles. Free some, or draw smaller pictures.")
    return torch.cat(pictures)


def _decode_item(vqgan: VQGANHandle, indices: Tensor, tile: int) -> Tensor:
    height, width = (min(tile, side) for side in indices.shape[1:])
    with host.placed(vqgan, decode_bytes(vqgan.config, height, width)) as device, Cancelable():
        return decode_tiles(vqgan.model.decode_indices, indices.to(device), tile, vqgan.config.factor)
