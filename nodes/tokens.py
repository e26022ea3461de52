"""Nodes that make and edit token grids."""

from __future__ import annotations

import logging

import torch
from comfy_api.latest import io

from ..taming.errors import TamingError
from ..taming.sampling import check_cells
from .types import Tokens, TokensSocket, VQGANHandle, VQGANSocket

log = logging.getLogger(__name__)

MAX_SIDE_PX = 16384  # the host's own limit
MAX_BATCH_SIZE = 4096
SIZE_ADVICE = (
    "0 is the size that the model was trained on, which it draws best: 128 for the embedded model and 256 for most "
    "published ones. Over larger pictures a window slides; let landscapes grow in width alone."
)


class TamingEmptyTokens(io.ComfyNode):
    """A grid with nothing in it, for the sampler to fill."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TamingEmptyTokens",
            display_name="Empty Tokens",
            category="Taming/tokens",
            description="An empty grid of tokens, for Sample Tokens to draw a picture in.",
            search_aliases=[
                "empty tokens",
                "blank tokens",
                "new tokens",
                "empty latent image",
                "text to image",
                "taming",
            ],
            inputs=[
                VQGANSocket.Input("vqgan", tooltip="The VQGAN that will decode the tokens: it sets their size."),
                io.Int.Input(
                    "width",
                    default=0,
                    min=0,
                    max=MAX_SIDE_PX,
                    step=8,
                    tooltip=f"Width of the picture in pixels. {SIZE_ADVICE}",
                ),
                io.Int.Input(
                    "height",
                    default=0,
                    min=0,
                    max=MAX_SIDE_PX,
                    step=8,
                    tooltip=f"Height of the picture in pixels. {SIZE_ADVICE}",
                ),
                io.Int.Input(
                    "batch_size",
                    default=1,
                    min=1,
                    max=MAX_BATCH_SIZE,
                    step=1,
                    tooltip="How many pictures to draw at once. More take more memory; picture i of a seed is the same "
                    "in a batch of any size.",
                ),
            ],
            outputs=[TokensSocket.Output("tokens", display_name="TOKENS", tooltip="Token grids, no cell known.")],
        )

    @classmethod
    def execute(cls, vqgan: VQGANHandle, width: int, height: int, batch_size: int) -> io.NodeOutput:
        columns, rows = _cells("width", width, vqgan), _cells("height", height, vqgan)
        check_cells(batch_size, rows, columns)
        blank = torch.zeros(1, 1, 1, dtype=torch.int64).expand(batch_size, rows, columns)  # takes no memory
        return io.NodeOutput(Tokens(blank, blank.bool().expand(batch_size, rows, columns), vqgan.tokenizer))


def _cells(name: str, side_px: int, vqgan: VQGANHandle) -> int:
    factor = vqgan.config.factor
    side_px = side_px or vqgan.config.resolution
    cells = side_px // factor
    if not cells:
        raise TamingError(f"{name} is {side_px} px, less than one token of {vqgan.tokenizer.name}, {factor} px.")
    if side_px % factor:
        log.warning("Empty Tokens: %s %d px cut to %d, a multiple of %d px.", name, side_px, cells * factor, factor)
    return cells
