"""The architecture of a VQGAN from the names and shapes of its weights.

What shapes cannot tell (dropout, loss weights, how a code is chosen) is taken from the published models.
"""

from __future__ import annotations

import torch

from ..errors import UnsupportedCheckpointError
from ..models.vqgan import REMAPPABLE, QuantizerKind, VQModelConfig
from .keymaps import CODEBOOK_KEYS, USED_KEY
from .shapes import Weights, count_parts, differences, shape_of
from .upstream_vqgan import PUBLISHED_KL_WEIGHT

RESOLUTION = 256  # of the published models; it only places the attention levels
MAX_LEVELS = 8
MAX_BLOCKS = 256  # per level; more are a file made to waste time
GROUP_SIZE = 32  # GroupNorm needs widths that are multiples of it
VQGAN_FIELDS_IN_SHAPES = (
    *("n_embed", "embed_dim", "ch", "ch_mult", "num_res_blocks", "mid_attention"),
    *("in_channels", "out_ch", "z_channels", "resamp_with_conv", "num_used"),
)
# Codebooks that are stored alike, and are told apart by what else is in the file or by the architecture.
SAME_KEYS = ("vq", "cosine", "dot")
F16_WIDTHS, AMUSED_WIDTHS = (1, 1, 2, 2, 4), (1, 2, 2, 4, 6)
IBQ_RES_BLOCKS = 4


def detect_vqgan(weights: Weights, name: str) -> VQModelConfig:
    """The configuration of the VQGAN whose `weights` (published keys, no prefix) the file `name` holds.

    Raises: UnsupportedCheckpointError if a telling key is missing or the model is of a kind that is not built here.
    """
    kind, n_embed = _detect_codebook(weights, name)
    ch, in_channels = shape_of(weights, "encoder.conv_in.weight", 4, name)[:2]
    num_levels = count_parts(weights, "encoder.down.", MAX_LEVELS, name)
    ch_mult = _detect_widths(weights, ch, num_levels, name)
    embed_dim, z_channels = shape_of(weights, "quant_conv.weight", 4, name)[:2]
    if shape_of(weights, "encoder.conv_out.weight", 4, name)[0] == 2 * z_channels:
        raise UnsupportedCheckpointError(f"{name} holds a continuous autoencoder (double_z), which has no tokens.")
    num_res_blocks = count_parts(weights, "encoder.down.0.block.", MAX_BLOCKS, name)
    mid_attention = "encoder.mid.attn_1.q.weight" in weights
    if kind == "vq" and (ch_mult, num_res_blocks, embed_dim) == (F16_WIDTHS, IBQ_RES_BLOCKS, z_channels):
        kind = "dot"  # IBQ; nothing else of these widths was published with four blocks
    num_used = _detect_remap(weights, n_embed, name)
    if num_used and kind not in REMAPPABLE:
        raise UnsupportedCheckpointError(
            f"{name} has a remapped codebook ({USED_KEY}, num_used {num_used}), which no {kind} codebook has."
        )
    is_amused = ch_mult == AMUSED_WIDTHS and not mid_attention
    attended = [i for i in range(num_levels) if f"encoder.down.{i}.attn.0.q.weight" in weights]
    return VQModelConfig(
        n_embed=n_embed,
        embed_dim=embed_dim,
        quantizer=kind,
        kl_weight=PUBLISHED_KL_WEIGHT if kind == "gumbel" else VQModelConfig.kl_weight,
        num_used=num_used,
        pixel_range="unit" if is_amused else "signed",
        ch=ch,
        ch_mult=ch_mult,
        num_res_blocks=num_res_blocks,
        attn_resolutions=tuple(RESOLUTION >> i for i in attended),
        resolution=RESOLUTION,
        mid_attention=mid_attention,
        in_channels=in_channels,
        out_ch=shape_of(weights, "decoder.conv_out.weight", 4, name)[0],
        z_channels=z_channels,
        resamp_with_conv=num_levels == 1 or "encoder.down.0.downsample.conv.weight" in weights,
    )


def vqgan_disagreements(config: VQModelConfig, weights: Weights, name: str) -> list[str]:
    """Where `config` says one thing and the shapes of `weights` another."""
    detected = detect_vqgan(weights, name)
    found = differences(config, {field: getattr(detected, field) for field in VQGAN_FIELDS_IN_SHAPES})
    if config.quantizer != detected.quantizer and not {config.quantizer, detected.quantizer} <= set(SAME_KEYS):
        found += differences(config, {"quantizer": detected.quantizer})
    wanted, present = (
        [level for level in range(len(detected.ch_mult)) if c.has_attention(level)] for c in (config, detected)
    )
    if wanted != present:
        found.append(f"levels with attention {wanted}, the weights have {present}")
    return found


def _detect_widths(weights: Weights, ch: int, num_levels: int, name: str) -> tuple[int, ...]:
    """The width of each level in multiples of the first, `ch`."""
    widths = [shape_of(weights, f"encoder.down.{i}.block.0.conv1.weight", 4, name)[0] for i in range(num_levels)]
    if any(width % ch or width % GROUP_SIZE for width in (ch, *widths)):
        raise UnsupportedCheckpointError(
            f"{name} has levels of {', '.join(map(str, widths))} channels; they must be multiples of {GROUP_SIZE} "
            f"and of the first width, {ch}."
        )
    return tuple(width // ch for width in widths)


def _detect_codebook(weights: Weights, name: str) -> tuple[QuantizerKind, int]:
    """The kind of quantizer and the number of codes."""
    key = next((key for key in CODEBOOK_KEYS if key in weights), None)
    if key is None:
        raise UnsupportedCheckpointError(_explain_no_codebook(weights, name))
    num_codes = shape_of(weights, key, 2, name)[0]
    if key == "quantize.embed.weight":
        return "gumbel", num_codes
    if "quantize.codebook_used" in weights:  # a training statistic of LlamaGen, whose published models are all cosine
        return "cosine", num_codes
    return ("ema" if "quantize.embedding.cluster_size" in weights else "vq"), num_codes


def _explain_no_codebook(weights: Weights, name: str) -> str:
    """What weights without a codebook are, as far as they tell; the host loads those whose encoder says twice as much.

    Of each latent number, the encoder of a KL autoencoder gives the mean and the variance.
    """
    given, taken = weights.get("encoder.conv_out.weight"), weights.get("decoder.conv_in.weight")
    if given is not None and taken is not None and taken.ndim == 4 and given.shape[0] == 2 * taken.shape[1]:
        return (
            f"{name} has no codebook (quantize.*), so it is a continuous autoencoder, not a VQGAN. "
            "It belongs in the Load VAE node; a whole checkpoint of a diffusion model, in Load Checkpoint."
        )
    return (
        f"{name} has no codebook (quantize.*): it is an incomplete VQGAN, or an autoencoder of another kind, which has "
        "no tokens. Choose a file that holds the whole VQGAN."
    )


def _detect_remap(weights: Weights, n_embed: int, name: str) -> int:
    """The number of codes that have a token, 0 where all have."""
    if USED_KEY not in weights:
        return 0
    (num_used,) = shape_of(weights, USED_KEY, 1, name)
    used = weights[USED_KEY]
    if used.is_meta:  # only the shapes are known
        return num_used
    whole = used.to(torch.int64)
    if not torch.equal(whole.to(used.dtype), used) or whole.unique().numel() != num_used:
        raise UnsupportedCheckpointError(
            f"{name} has a remapped codebook ({USED_KEY}) that does not list each code once."
        )
    if whole.min() < 0 or whole.max() >= n_embed:
        raise UnsupportedCheckpointError(
            f"{name} has a remapped codebook ({USED_KEY}) that lists codes {int(whole.min())} to {int(whole.max())}; "
            f"it has codes 0 to {n_embed - 1}."
        )
    return num_used
