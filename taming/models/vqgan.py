"""VQGAN: an image tokenizer with a convolutional encoder, a codebook and a decoder (arXiv:2012.09841)."""

from dataclasses import dataclass
from types import ModuleType
from typing import Literal

import torch
from torch import Tensor, nn

from ..conditioning import Condition
from ..modules.decoder import Decoder
from ..modules.encoder import Encoder
from ..modules.layout import ConvLayout
from ..modules.quantizers import EMAVectorQuantizer, GumbelQuantizer, Quantized, VectorQuantizer
from ..sampling import transform_image


@dataclass(frozen=True, kw_only=True)
class VQModelConfig(ConvLayout):
    """Architecture of a VQGAN; names follow the published configuration files."""

    n_embed: int  # codes
    embed_dim: int  # width of a code
    quantizer: Literal["vq", "gumbel", "ema"] = "vq"
    beta: float = 0.25  # weight of the commitment loss; of the codebook loss where `legacy`
    legacy: bool = True  # vq only: the published training loss, see VectorQuantizer
    kl_weight: float = 5e-4  # gumbel only


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

    @property
    def factor(self) -> int:
        """Pixels per token side."""
        return self.config.factor

    def encode_latents(self, pixels: Tensor) -> Tensor:
        """Pixels (B, C, H, W) in [-1, 1] to the unquantized latents (B, D, h, w)."""
        return self.quant_conv(self.encoder(pixels))

    def encode(self, pixels: Tensor, generator: torch.Generator | None = None) -> Quantized:
        """Tokenize pixels (B, C, H, W) in [-1, 1]; H and W are multiples of `factor`.

        `generator` asks a Gumbel model for the reference's stochastic encoding, and in training it draws where an
        EMA codebook restarts dead codes.
        """
        return self.quantize(self.encode_latents(pixels), generator)

    def decode(self, z_q: Tensor) -> Tensor:
        """Quantized latents (B, D, h, w) to unclamped pixels (B, C, h * factor, w * factor)."""
        return self.decoder(self.post_quant_conv(z_q))

    def decode_indices(self, indices: Tensor) -> Tensor:
        """Tokens (B, h, w) to unclamped pixels (B, C, h * factor, w * factor)."""
        return self.decode(self.quantize.lookup(indices))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Quantized]:
        """Reconstruct pixels (B, C, H, W); returns the reconstruction and what the quantizer said."""
        quantized = self.encode(pixels)
        return self.decode(quantized.z_q), quantized

    def transform(self, image: Tensor, condition: Condition, strength: float = 0.8, seed: int = 0) -> Tensor:
        """Draw a random `strength` share of the tokens of `image`, (B, 3, H, W) in [0, 1], again by `condition`."""
        return transform_image(self, image, condition, strength, seed)


def build_quantizer(
    config: VQModelConfig, operations: ModuleType
) -> VectorQuantizer | GumbelQuantizer | EMAVectorQuantizer:
    match config.quantizer:
        case "vq":
            return VectorQuantizer(config.n_embed, config.embed_dim, config.beta, config.legacy, operations)
        case "gumbel":
            return GumbelQuantizer(config.n_embed, config.embed_dim, config.embed_dim, config.kl_weight, operations)
        case "ema":
            return EMAVectorQuantizer(config.n_embed, config.embed_dim, config.beta, operations=operations)
