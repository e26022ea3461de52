"""The architecture of a transformer from the names and shapes of its weights.

What shapes cannot tell (heads, the condition) is taken from the published models.
"""

from __future__ import annotations

from typing import Any

from ..conditioning import ConditionConfig
from ..errors import ConfigError, UnsupportedCheckpointError
from ..models.transformer import TransformerConfig
from .shapes import Weights, count_parts, differences, shape_of

MAX_LAYERS = 256  # more are a file made to waste time
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


def transformer_disagreements(config: TransformerConfig, weights: Weights, name: str) -> list[str]:
    """Where `config` says one thing and the shapes of `weights` another."""
    return differences(config, _transformer_sizes(weights, name))


def _transformer_sizes(weights: Weights, name: str) -> dict[str, Any]:
    """The fields of a TransformerConfig that the shapes tell."""
    if "tok_emb.bias" in weights:
        raise UnsupportedCheckpointError(f"{name} is a transformer over continuous codes (CodeGPT): not supported.")
    vocab_size, n_embd = shape_of(weights, "tok_emb.weight", 2, name)
    sizes: dict[str, Any] = {
        "vocab_size": vocab_size,
        "block_size": shape_of(weights, "pos_emb", 3, name)[1],
        "n_layer": count_parts(weights, "blocks.", MAX_LAYERS, name),
        "n_embd": n_embd,
        "context_dim": None,
    }
    if "blocks.0.cross.key.weight" in weights:
        sizes["context_dim"] = shape_of(weights, "blocks.0.cross.key.weight", 2, name)[1]
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
