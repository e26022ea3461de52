"""Which model a state dict holds, and its architecture, from the names and shapes of its weights.

What shapes cannot tell (heads, dropout, loss weights) is taken from the published models.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from torch import Tensor

from ..conditioning import ConditionConfig
from ..errors import ConfigError, UnsupportedCheckpointError
from ..models.transformer import TransformerConfig
from ..models.vqgan import VQModelConfig
from .keymaps import CODEBOOK_KEYS
from .upstream import PUBLISHED_KL_WEIGHT

RESOLUTION = 256  # of the published models; it only places the attention levels
MAX_LEVELS = 8
GROUP_SIZE = 32  # GroupNorm needs widths that are multiples of it
PUBLISHED_HEADS = 16
PUBLISHED_HEADS_BY_SIZE = {(48, 1536): 24}  # (layers, width): class-conditional ImageNet
# (block size, vocabulary) of the published models that put one condition token before a 16 x 16 grid.
PUBLISHED_CONDITIONS = {
    (256, 16384): ConditionConfig(kind="class", num_classes=1000),  # ImageNet
    (256, 1024): ConditionConfig(kind="unconditional", sos_token=0),  # FFHQ, CelebA-HQ
}
PUBLISHED_GRID = (16, 16)
UNSUPPORTED_BLOCK_SIZES = {
    512: "conditioned on coordinates or another picture, as FacesHQ and S-FLCKR are",
    348: "conditioned on object boxes, as COCO and Open Images scenes are",
}

MAX_DEPTH = 256  # layers or blocks; more are a file made to waste time
VQGAN_FIELDS_IN_SHAPES = (
    *("quantizer", "n_embed", "embed_dim", "ch", "ch_mult", "num_res_blocks"),
    *("in_channels", "out_ch", "z_channels", "resamp_with_conv"),
)

Weights = Mapping[str, Tensor]


def detect_vqgan(weights: Weights, name: str) -> VQModelConfig:
    """The configuration of the VQGAN whose `weights` (published keys, no prefix) the file `name` holds.

    Raises: UnsupportedCheckpointError if a telling key is missing or the model is of a kind that is not built here.
    """
    quantizer, n_embed = _detect_codebook(weights, name)
    ch, in_channels = _shape(weights, "encoder.conv_in.weight", 4, name)[:2]
    num_levels = _count(weights, "encoder.down.", MAX_LEVELS, name)
    widths = [_shape(weights, f"encoder.down.{i}.block.0.conv1.weight", 4, name)[0] for i in range(num_levels)]
    if any(width % ch or width % GROUP_SIZE for width in (ch, *widths)):
        raise UnsupportedCheckpointError(
            f"{name} has levels of {', '.join(map(str, widths))} channels; they must be multiples of {GROUP_SIZE} "
            f"and of the first width, {ch}."
        )
    if "encoder.mid.attn_1.q.weight" not in weights:
        raise UnsupportedCheckpointError(f"{name} has no attention in the middle (encoder.mid.attn_1): not supported.")
    embed_dim, z_channels = _shape(weights, "quant_conv.weight", 4, name)[:2]
    if _shape(weights, "encoder.conv_out.weight", 4, name)[0] == 2 * z_channels:
        raise UnsupportedCheckpointError(f"{name} holds a continuous autoencoder (double_z), which has no tokens.")
    attended = [i for i in range(num_levels) if f"encoder.down.{i}.attn.0.q.weight" in weights]
    return VQModelConfig(
        n_embed=n_embed,
        embed_dim=embed_dim,
        quantizer=quantizer,
        kl_weight=PUBLISHED_KL_WEIGHT if quantizer == "gumbel" else VQModelConfig.kl_weight,
        ch=ch,
        ch_mult=tuple(width // ch for width in widths),
        num_res_blocks=_count(weights, "encoder.down.0.block.", MAX_DEPTH, name),
        attn_resolutions=tuple(RESOLUTION >> i for i in attended),
        resolution=RESOLUTION,
        in_channels=in_channels,
        out_ch=_shape(weights, "decoder.conv_out.weight", 4, name)[0],
        z_channels=z_channels,
        resamp_with_conv=num_levels == 1 or "encoder.down.0.downsample.conv.weight" in weights,
    )


def detect_transformer(weights: Weights, name: str) -> TransformerConfig:
    """The configuration of the transformer whose `weights` (published keys, no prefix) the file `name` holds.

    Raises: UnsupportedCheckpointError if a telling key is missing; ConfigError if the published models do not tell
        what the shapes cannot.
    """
    sizes = _transformer_sizes(weights, name)
    return TransformerConfig(
        **sizes,
        n_head=_published_heads(sizes["n_layer"], sizes["n_embd"], name),
        grid=PUBLISHED_GRID,
        condition=_published_condition(sizes["block_size"], sizes["vocab_size"], name),
    )


def vqgan_disagreements(config: VQModelConfig, weights: Weights, name: str) -> list[str]:
    """Where `config` says one thing and the shapes of `weights` another."""
    detected = detect_vqgan(weights, name)
    found = _differences(config, {field: getattr(detected, field) for field in VQGAN_FIELDS_IN_SHAPES})
    wanted, present = (
        [level for level in range(len(detected.ch_mult)) if c.has_attention(level)] for c in (config, detected)
    )
    if wanted != present:
        found.append(f"levels with attention {wanted}, the weights have {present}")
    return found


def transformer_disagreements(config: TransformerConfig, weights: Weights, name: str) -> list[str]:
    """Where `config` says one thing and the shapes of `weights` another."""
    return _differences(config, _transformer_sizes(weights, name))


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
    num_codes = _shape(weights, key, 2, name)[0]
    if key == "quantize.embed.weight":
        return "gumbel", num_codes
    return ("ema" if "quantize.embedding.cluster_size" in weights else "vq"), num_codes


def _transformer_sizes(weights: Weights, name: str) -> dict[str, Any]:
    """The fields of a TransformerConfig that the shapes tell."""
    if "tok_emb.bias" in weights:
        raise UnsupportedCheckpointError(f"{name} is a transformer over continuous codes (CodeGPT): not supported.")
    vocab_size, n_embd = _shape(weights, "tok_emb.weight", 2, name)
    sizes: dict[str, Any] = {
        "vocab_size": vocab_size,
        "block_size": _shape(weights, "pos_emb", 3, name)[1],
        "n_layer": _count(weights, "blocks.", MAX_DEPTH, name),
        "n_embd": n_embd,
        "context_dim": None,
    }
    if "blocks.0.cross.key.weight" in weights:
        sizes["context_dim"] = _shape(weights, "blocks.0.cross.key.weight", 2, name)[1]
    mask = weights.get("blocks.0.attn.mask")
    if mask is not None and mask.dim() == 4 and mask.numel():
        visible = int(mask[0, 0, 0].count_nonzero())  # a causal first token sees itself only
        sizes["n_unmasked"] = visible if visible > 1 else 0
    return sizes


def _published_heads(n_layer: int, n_embd: int, name: str) -> int:
    num_heads = PUBLISHED_HEADS_BY_SIZE.get((n_layer, n_embd), PUBLISHED_HEADS)
    if n_embd % num_heads:
        raise ConfigError(
            f"{name} does not say how many heads its attention has (n_head), and the {PUBLISHED_HEADS} of the "
            f"published models do not divide its width {n_embd}. Put its YAML configuration beside it."
        )
    return num_heads


def _published_condition(block_size: int, vocab_size: int, name: str) -> ConditionConfig:
    if block_size in UNSUPPORTED_BLOCK_SIZES:
        raise UnsupportedCheckpointError(
            f"{name} reads {block_size} tokens, so it seems to be {UNSUPPORTED_BLOCK_SIZES[block_size]}: "
            "not supported by this version. If it is not, put its YAML configuration beside it."
        )
    condition = PUBLISHED_CONDITIONS.get((block_size, vocab_size))
    if condition is None:
        raise ConfigError(
            f"{name} does not say what it was conditioned on, and no published model has its {vocab_size} tokens and "
            f"block size {block_size}. Put its YAML configuration beside it."
        )
    return condition


def _differences(config: object, detected: Mapping[str, Any]) -> list[str]:
    return [
        f"{field} {getattr(config, field)}, the weights have {value}"
        for field, value in detected.items()
        if getattr(config, field) != value
    ]


def _shape(weights: Weights, key: str, num_dims: int, name: str) -> tuple[int, ...]:
    """The shape of a telling weight."""
    if key not in weights:
        raise UnsupportedCheckpointError(f"{name} lacks the weight {key}: it is incomplete or another kind of model.")
    shape = tuple(weights[key].shape)
    if len(shape) != num_dims or 0 in shape:
        raise UnsupportedCheckpointError(f"{name}: {key} has the shape {shape}; {num_dims} sides are needed.")
    return shape


def _count(keys: Iterable[str], stem: str, most: int, name: str) -> int:
    """How many different numbers follow `stem` in the keys."""
    numbered = re.compile(re.escape(stem) + r"(\d+)\.")
    count = len({match[1] for match in map(numbered.match, keys) if match})
    if not 1 <= count <= most:
        raise UnsupportedCheckpointError(f"{name} has {count} parts {stem}*; 1 to {most} work.")
    return count
