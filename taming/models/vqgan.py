"""VQGAN: an image tokenizer with a convolutional encoder, a codebook and a decoder (arXiv:2012.09841)."""

from dataclasses import dataclass
from types import ModuleType
from typing import Literal

import torch
from torch import Tensor, nn

from ..conditioning import Condition
from ..errors import ConfigError, TokensError
from ..modules.acceleration import accelerate_autoencoder
from ..modules.autoencoder import AutoencoderConfig, Decoder, Encoder
from ..modules.quantizers import (
    CosineQuantizer,
    DotQuantizer,
    EMAVectorQuantizer,
    GumbelQuantizer,
    Quantized,
    Remap,
    VectorQuantizer,
)
from ..sampling import transform_image

QuantizerKind = Literal["vq", "gumbel", "ema", "cosine", "dot"]
Quantizer = VectorQuantizer | GumbelQuantizer | EMAVectorQuantizer | CosineQuantizer | DotQuantizer
REMAPPABLE = ("vq", "gumbel")


@dataclass(frozen=True, kw_only=True)
class VQModelConfig(AutoencoderConfig):
    """Architecture of a VQGAN; names follow the published configuration files."""

    n_embed: int  # codes
    embed_dim: int  # width of a code
    quantizer: QuantizerKind = "vq"
    beta: float = 0.25  # weight of the commitment loss; of the codebook loss where `legacy`, and for dot
    legacy: bool = True  # vq only: the published training loss, see VectorQuantizer
    kl_weight: float = 5e-4  # gumbel only
    num_used: int = 0  # codes that have a token where a remap (`quantize.used`) leaves some out; 0: no remap
    unknown_index: int | None = None  # token of the codes left out, see Remap
    pixel_range: Literal["signed", "unit"] = "signed"  # what the weights were trained on: [-1, 1] or [0, 1]

    def __post_init__(self) -> None:
        odd = [width for width in (self.ch, *self.widths) if width % self.num_groups]
        if odd:
            raise ConfigError(
                f"num_groups {self.num_groups} does not divide the width {odd[0]} (ch times ch_mult). Make the widths "
                "multiples of it."
            )
        if self.num_used and self.quantizer not in REMAPPABLE:
            raise ConfigError(f"num_used: a {self.quantizer} codebook is never remapped, only {', '.join(REMAPPABLE)}.")
        if self.num_used > self.n_embed:
            raise ConfigError(f"num_used {self.num_used} is more than the {self.n_embed} codes of n_embed.")
        if self.unknown_index is not None and not self.unknown_index <= self.num_used > 0:
            raise ConfigError(f"unknown_index {self.unknown_index} is not a token of a remap to {self.num_used} codes.")

    @property
    def num_tokens(self) -> int:
        """How many different tokens there are: the codes, unless a remap leaves some out."""
        return (self.num_used + int(self.unknown_index == self.num_used)) if self.num_used else self.n_embed


class VQModel(nn.Module):
    """Image tokenizer; attribute names equal the keys of the published checkpoints."""

    def __init__(self, config: VQModelConfig, operations: ModuleType = nn) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config, operations)
        self.decoder = Decoder(config, operations)
        self.quantize = build_quantizer(config, operations)
        self.quant_conv = operations.Conv2d(config.z_channels, config.embed_dim, 1)
        self.post_quant_conv = operations.Conv2d(config.embed_dim, config.z_channels, 1)
        accelerate_autoencoder(self)

    @property
    def factor(self) -> int:
        """Pixels per token side."""
        return self.config.factor

    @property
    def num_tokens(self) -> int:
        """How many different tokens there are."""
        return self.config.num_tokens

    def encode_latents(self, pixels: Tensor) -> Tensor:
        """Pixels (B, C, H, W) in [-1, 1] to the unquantized latents (B, D, h, w)."""
        own = pixels if self.config.pixel_range == "signed" else (pixels + 1) / 2
        return self.quant_conv(self.encoder(own))

    def encode(self, pixels: Tensor, generator: torch.Generator | None = None) -> Quantized:
        """Tokenize pixels (B, C, H, W) in [-1, 1]; H and W are multiples of `factor`.

        `generator` asks a Gumbel model for the reference's stochastic encoding, draws the tokens of codes that a remap
        leaves out, and in training draws where an EMA codebook restarts dead codes.

        Raises:
            TokensError: another shape, less than one token, or (but in training) pixels that are NaN or infinite.
        """
        self._check_pixels(pixels)
        return self.quantize(self.encode_latents(pixels), generator)

    def decode(self, z_q: Tensor) -> Tensor:
        """Quantized latents (B, D, h, w) to unclamped pixels (B, C, h * factor, w * factor)."""
        own = self.decoder(self.post_quant_conv(z_q))
        return own if self.config.pixel_range == "signed" else own * 2 - 1

    def decode_indices(self, indices: Tensor) -> Tensor:
        """Tokens (B, h, w) to unclamped pixels (B, C, h * factor, w * factor).

        Raises:
            TokensError: another shape, or tokens that the codebook does not have.
        """
        self._check_indices(indices)
        return self.decode(self.quantize.lookup(indices))

    def _check_pixels(self, pixels: Tensor) -> None:
        channels = self.config.in_channels
        shape = tuple(pixels.shape)
        if len(shape) != 4 or shape[1] != channels or not shape[0] or not pixels.is_floating_point():
            raise TokensError(
                f"Pixels have shape (B, {channels}, H, W), as floats in [-1, 1]; found {shape} of {pixels.dtype}."
            )
        if min(shape[2:]) < self.factor:
            raise TokensError(f"{shape[3]}x{shape[2]} px is less than one token, {self.factor}x{self.factor} px.")
        # Training has its own watch, and must not wait; on the meta device there are no values.
        if not (self.training or pixels.is_meta or pixels.isfinite().all()):
            raise TokensError(
                "There are pixels that are NaN or infinite, which no token stands for. Replace them first."
            )

    def _check_indices(self, indices: Tensor) -> None:
        count, shape = self.config.num_tokens, tuple(indices.shape)
        if len(shape) != 3 or not indices.numel() or indices.dtype not in (torch.int32, torch.int64):
            raise TokensError(f"Tokens have shape (B, h, w), as int64; found {shape} of {indices.dtype}.")
        if indices.is_meta:
            return
        low, high = int(indices.min()), int(indices.max())
        if low < 0 or high >= count:
            raise TokensError(f"There are tokens from {low} to {high}; this tokenizer has 0 to {count - 1}.")

    def forward(self, pixels: Tensor) -> tuple[Tensor, Quantized]:
        """Reconstruct pixels (B, C, H, W); returns the reconstruction and what the quantizer said."""
        quantized = self.encode(pixels)
        return self.decode(quantized.z_q), quantized

    def transform(
        self,
        image: Tensor,
        condition: Condition,
        strength: float = 0.8,
        seed: int = 0,
        mask: Tensor | None = None,
        patch: int = 1,
    ) -> Tensor:
        """Draw a random `strength` share of the tokens of `image`, (B, 3, H, W) in [0, 1], again by `condition`.

        `mask`, (B or 1, H, W) in [0, 1], limits the choice to tokens that it touches. Tokens are chosen in patches of
        about `patch` tokens across.
        """
        return transform_image(self, image, condition, strength, seed, mask, patch=patch)


def build_quantizer(config: VQModelConfig, operations: ModuleType) -> Quantizer:
    codes, dim, beta = config.n_embed, config.embed_dim, config.beta
    remap = Remap(config.num_used, config.unknown_index) if config.num_used else None
    match config.quantizer:
        case "vq":
            return VectorQuantizer(codes, dim, beta, config.legacy, operations, remap)
        case "gumbel":
            return GumbelQuantizer(codes, dim, dim, config.kl_weight, operations, remap)
        case "ema":
            return EMAVectorQuantizer(codes, dim, beta, operations=operations)
        case "cosine":
            return CosineQuantizer(codes, dim, beta, operations)
        case "dot":
            return DotQuantizer(codes, dim, beta, operations)
