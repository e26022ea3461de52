"""The architecture of a VQGAN from the names and shapes of its weights.

What shapes cannot tell (dropout, loss weights) is taken from the published models.
"""

from __future__ import annotations

from typing import Literal

from ..errors import UnsupportedCheckpointError
from ..models.vqgan import VQModelConfig
from .keymaps import CODEBOOK_KEYS
from .shapes import Weights, count_parts, differences, shape_of
from .upstream_vqgan import PUBLISHED_KL_WEIGHT

RESOLUTION = 256  # of the published models; it only places the attention levels
MAX_LEVELS = 8
MAX_BLOCKS = 256  # per level; more are a file made to waste time
GROUP_SIZE = 32  # GroupNorm needs widths that are multiples of it
VQGAN_FIELDS_IN_SHAPES = (
    *("quantizer", "n_embed", "embed_dim", "ch", "ch_mult", "num_res_blocks"),
    *("in_channels", "out_ch", "z_channels", "resamp_with_conv"),
)


def detect_vqgan(weights: Weights, name: str) -> VQModelConfig:
    """The configuration of the VQGAN whose `weights` (published keys, no prefix) the file `name` holds.

    Raises: UnsupportedCheckpointError if a telling key is missing or the model is of a kind that is not built here.
    """
    quantizer, n_embed = _detect_codebook(weights, name)
    ch, in_channels = shape_of(weights, "encoder.conv_in.weight", 4, name)[:2]
    num_levels = count_parts(weights, "encoder.down.", MAX_LEVELS, name)
    widths = [shape_of(weights, f"encoder.down.{i}.block.0.conv1.weight", 4, name)[0] for i in range(num_levels)]
    if any(width % ch or width % GROUP_SIZE for width in (ch, *widths)):
        raise UnsupportedCheckpointError(
            f"{name} has levels of {', '.join(map(str, widths))} channels; they must be multiples of {GROUP_SIZE} "
            f"and of the first width, {ch}."
        )
    if "encoder.mid.attn_1.q.weight" not in weights:
        raise UnsupportedCheckpointError(f"{name} has no attention in the middle (encoder.mid.attn_1): not supported.")
    embed_dim, z_channels = shape_of(weights, "quant_conv.weight", 4, name)[:2]
    if shape_of(weights, "encoder.conv_out.weight", 4, name)[0] == 2 * z_channels:
        raise UnsupportedCheckpointError(f"{name} holds a continuous autoencoder (double_z), which has no tokens.")
    attended = [i for i in range(num_levels) if f"encoder.down.{i}.attn.0.q.weight" in weights]
    return VQModelConfig(
        n_embed=n_embed,
        embed_dim=embed_dim,
        quantizer=quantizer,
        kl_weight=PUBLISHED_KL_WEIGHT if quantizer == "gumbel" else VQModelConfig.kl_weight,
        ch=ch,
        ch_mult=tuple(width // ch for width in widths),
        num_res_blocks=count_parts(weights, "encoder.down.0.block.", MAX_BLOCKS, name),
        attn_resolutions=tuple(RESOLUTION >> i for i in attended),
        resolution=RESOLUTION,
        in_channels=in_channels,
        out_ch=shape_of(weights, "decoder.conv_out.weight", 4, name)[0],
        z_channels=z_channels,
        resamp_with_conv=num_levels == 1 or "encoder.down.0.downsample.conv.weight" in weights,
    )


def vqgan_disagreements(config: VQModelConfig, weights: Weights, name: str) -> list[str]:
    """Where `config` says one thing and the shapes of `weights` another."""
    detected = detect_vqgan(weights, name)
    found = differences(config, {field: getattr(detected, field) for field in VQGAN_FIELDS_IN_SHAPES})
    wanted, present = (
        [level for level in range(len(detected.ch_mult)) if c.has_attention(level)] for c in (config, detected)
    )
    if wanted != present:
        found.append(f"levels with attention {wanted}, the weights have {present}")
    return found


def _detect_codebook(weights: Weights, name: str) -> tuple[Literal["vq", "gumbel", "ema"], int]:
    """The kind of quantizer and the number of codes."""
    key = next((key for key in CODEBOOK_KEYS if key in weights), None)
    if key is None:
        raise UnsupportedCheckpointError(
            f"{name} has no codebook (quantize.*), so it is a continuous autoencoder, not a VQGAN. "
            "It belongs in the Load VAE node."
        )
    if "quantize.used" in weights:
        raise UnsupportedCheckpointError(f"{name} has a remapped codebook (quantize.used), which is not supported.")
    num_codes = shape_of(weights, key, 2, name)[0]
    if key == "quantize.embed.weight":
        return "gumbel", num_codes
    return ("ema" if "quantize.embedding.cluster_size" in weights else "vq"), num_codes
