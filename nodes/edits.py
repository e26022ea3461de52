"""Nodes that change what is known of token grids, for the sampler to fill in."""

from __future__ import annotations

import logging

from comfy_api.latest import io
from torch import Tensor

from ..taming.sampling import MAX_PATCH, choose_cells, forget_cells, pad_cells
from .errors import blaming
from .types import Tokens, TokensSocket

log = logging.getLogger(__name__)

MAX_GROW_PX = 1024
MAX_PADDING = 2048  # cells; as many as the host's largest picture has of the usual smallest token, 8 px
SIDES = {"left": "on the left", "top": "above", "right": "on the right", "bottom": "below"}


class TamingForgetTokens(io.ComfyNode):
    """Cells under a mask, or a random share of them, become unknown."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TamingForgetTokens",
            display_name="Forget Tokens",
            category="Taming/tokens",
            description="Forgets the tokens under a mask, or a random share of them, so that Sample Tokens draws "
            "them again.",
            search_aliases=[
                "inpaint",
                "denoise",
                "image to image",
                "img2img strength",
                "set latent noise mask",
                "mask tokens",
                "taming",
            ],
            inputs=[
                TokensSocket.Input("tokens", tooltip="Token grids, for example of Encode to Tokens."),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="What to forget: every token that the mask touches, even with one pixel. One mask for all "
                    "pictures, or one for each; it is stretched to the picture. Without a mask, the whole picture.",
                ),
                *_choice_inputs(),
            ],
            outputs=[TokensSocket.Output("tokens", display_name="TOKENS", tooltip="The grids, with unknown cells.")],
        )

    @classmethod
    def execute(
        cls,
        tokens: Tokens,
        mask: Tensor | None = None,
        strength: float = 1.0,
        seed: int = 0,
        grow: int = 0,
        patch: int = 1,
    ) -> io.NodeOutput:
        batch, height, width = tokens.indices.shape
        masked = None
        if mask is not None:
            with blaming("mask"):
                mask = mask.cpu()[None].flatten(0, -3)  # (B, H, W), from (H, W) too, as the host's nodes take it
                masked = forget_cells(mask, (batch, height, width), tokens.tokenizer.factor, grow)
            if not masked.any():
                log.warning("Forget Tokens: the mask is empty, so nothing is forgotten.")
        known = tokens.known & ~choose_cells((batch, height, width), strength, seed, masked, patch)
        return io.NodeOutput(Tokens(tokens.indices.masked_fill(~known, 0), known, tokens.tokenizer))


def _choice_inputs() -> list[io.Input]:
    """Which of the cells under the mask are forgotten."""
    return [
        io.Float.Input(
            "strength",
            optional=True,
            default=1.0,
            min=0.0,
            max=1.0,
            step=0.01,
            tooltip="Share of those tokens that is forgotten: 1 is all of them, 0 none. A higher strength "
            "forgets the same tokens and more. 0.3 to 0.5 is usual for image to image.",
        ),
        io.Int.Input(
            "seed",
            optional=True,
            default=0,
            min=0,
            max=0xFFFFFFFFFFFFFFFF,
            step=1,
            control_after_generate=True,
            tooltip="Chooses which tokens are forgotten; without effect at strength 1.",
        ),
        io.Int.Input(
            "grow",
            optional=True,
            default=0,
            min=0,
            max=MAX_GROW_PX,
            step=1,
            tooltip="Pixels of the picture to grow the mask by on every side. Tokens beside an object still "
            "know of it: 8 to 16 forgets them too.",
            advanced=True,
        ),
        io.Int.Input(
            "patch",
            optional=True,
            default=1,
            min=1,
            max=MAX_PATCH,
            step=1,
            tooltip="Tokens across the patches that are forgotten. 1 scatters single tokens, which come back "
            "as speckle; 3 or 4, with a strength of 0.3 to 0.5, draws things of the label into the image and "
            "keeps its composition. Without effect at strength 1.",
        ),
    ]


class TamingPadTokens(io.ComfyNode):
    """Unknown cells around a grid."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TamingPadTokens",
            display_name="Pad Tokens",
            category="Taming/tokens",
            description="Adds unknown tokens around a grid, so that Sample Tokens draws the picture on.",
            search_aliases=[
                "outpaint",
                "pad image for outpainting",
                "extend image",
                "expand canvas",
                "panorama",
                "taming",
            ],
            inputs=[
                TokensSocket.Input("tokens", tooltip="Token grids, for example of Encode to Tokens."),
                *(
                    io.Int.Input(
                        side,
                        default=0,
                        min=0,
                        max=MAX_PADDING,
                        step=1,
                        tooltip=f"Tokens to add {where}. One is 8 px of the embedded model, 16 of most published ones.",
                    )
                    for side, where in SIDES.items()
                ),
            ],
            outputs=[
                TokensSocket.Output("tokens", display_name="TOKENS", tooltip="Larger grids; what is new is unknown.")
            ],
        )

    @classmethod
    def execute(cls, tokens: Tokens, left: int, top: int, right: int, bottom: int) -> io.NodeOutput:
        indices, known = pad_cells(tokens.indices, tokens.known, left, top, right, bottom)
        return io.NodeOutput(Tokens(indices, known, tokens.tokenizer))
