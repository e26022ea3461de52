"""The architecture of a transformer from the names and shapes of its weights.

What shapes cannot tell (heads, the condition) is taken from the published models.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..conditioning import ConditionConfig, CoordinateCondition, Unconditional
from ..errors import ConfigError, UnsupportedCheckpointError
from ..models.transformer import TransformerConfig
from ..models.vqgan import VQModelConfig
from .permuters import Order
from .shapes import Weights, count_parts, differences, shape_of
from .upstream_condition import box_condition, class_condition, map_condition

MASK_KEY = "blocks.0.attn.mask"
MAX_LAYERS = 256  # more are a file made to waste time
PUBLISHED_HEADS = 16
PUBLISHED_HEADS_BY_SIZE = {(48, 1536): 24}  # (layers, width): class-conditional ImageNet
PUBLISHED_SIDE = 16  # cells of the published grids
PUBLISHED_DOWN_FACTOR = 16


def detect_transformer(
    weights: Weights,
    name: str,
    cond_stage: VQModelConfig | None = None,
    order: Order = (),
    advice: str = "Put its YAML configuration beside it.",
) -> TransformerConfig:
    """The configuration of the transformer whose `weights` (published keys, no prefix) the file `name` holds.

    `cond_stage` is the VQGAN of its maps, where the file holds one, `order` that of the file's permuter.
    `advice` ends the message where a configuration is needed.

    Raises: UnsupportedCheckpointError if a telling key is missing; ConfigError if the published models do not tell
        what the shapes cannot.
    """
    sizes = _transformer_sizes(weights, name)
    n_head = _published_heads(sizes["n_layer"], sizes["n_embd"], name, advice)
    if sizes["cond_vocab_size"]:
        raise ConfigError(
            f"{name} reads {sizes['cond_vocab_size']} tokens that are no codes, and does not say what they stand for. "
            f"{advice}"
        )
    condition = _published_condition(sizes["block_size"], sizes["vocab_size"], cond_stage, name, advice)
    try:
        return TransformerConfig(
            **sizes, n_head=n_head, grid=(PUBLISHED_SIDE, PUBLISHED_SIDE), order=order, condition=condition
        )
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from error


def transformer_disagreements(config: TransformerConfig, weights: Weights, name: str) -> list[str]:
    """Where `config` says one thing and the shapes of `weights` another."""
    return differences(config, _transformer_sizes(weights, name))


def _transformer_sizes(weights: Weights, name: str) -> dict[str, Any]:
    """The fields of a TransformerConfig that the shapes tell."""
    if "tok_emb.bias" in weights:
        raise UnsupportedCheckpointError(f"{name} is a transformer over continuous codes (CodeGPT): not supported.")
    num_embeddings, n_embd = shape_of(weights, "tok_emb.weight", 2, name)
    vocab_size = shape_of(weights, "head.weight", 2, name)[0]
    if num_embeddings < vocab_size:
        raise UnsupportedCheckpointError(
            f"{name} predicts {vocab_size} tokens and reads {num_embeddings}: it is damaged or another kind of model."
        )
    sizes: dict[str, Any] = {
        "vocab_size": vocab_size,
        "cond_vocab_size": num_embeddings - vocab_size,
        "block_size": shape_of(weights, "pos_emb", 3, name)[1],
        "n_layer": count_parts(weights, "blocks.", MAX_LAYERS, name),
        "n_embd": n_embd,
        "context_dim": None,
    }
    if "blocks.0.cross.key.weight" in weights:
        sizes["context_dim"] = shape_of(weights, "blocks.0.cross.key.weight", 2, name)[1]
    mask = weights.get(MASK_KEY)
    if mask is not None:
        sizes["n_unmasked"] = _count_unmasked(mask, name)
    return sizes


def _count_unmasked(mask: Tensor, name: str) -> int:
    """How many leading tokens see each other in both directions, from the mask (1, 1, L, L) of a layer."""
    square = mask.flatten(0, -2) if mask.dim() else mask  # (L, L)
    visible = int(square[0].count_nonzero()) if square.numel() else 0  # a causal first token sees itself only
    expected = torch.ones_like(square).tril()
    expected[:visible, :visible] = 1
    if not torch.equal(square, expected):
        raise UnsupportedCheckpointError(
            f"{name} has a mask ({MASK_KEY}) that is not causal after a prefix that sees itself: not supported."
        )
    return visible if visible > 1 else 0


def _published_heads(n_layer: int, n_embd: int, name: str, advice: str) -> int:
    num_heads = PUBLISHED_HEADS_BY_SIZE.get((n_layer, n_embd), PUBLISHED_HEADS)
    if n_embd % num_heads:
        raise ConfigError(
            f"{name} does not say how many heads its attention has (n_head), and the {PUBLISHED_HEADS} of the "
            f"published models do not divide its width {n_embd}. {advice}"
        )
    return num_heads


def _published_condition(
    block_size: int, vocab_size: int, cond_stage: VQModelConfig | None, name: str, advice: str
) -> ConditionConfig:
    """What the published models of this size were conditioned on, `block_size` being the condition and the grid."""
    if cond_stage is not None:
        return map_condition(cond_stage)
    cells = PUBLISHED_SIDE**2
    boxes = box_condition("coco_scenes", {"use_group_parameter": True}, name)
    known: dict[tuple[int, int], ConditionConfig] = {
        (cells, 16384): class_condition(1000),  # ImageNet
        (cells, 1024): Unconditional(),  # FFHQ, CelebA-HQ
        (2 * cells, 1024): CoordinateCondition(num_codes=1024, down_factor=PUBLISHED_DOWN_FACTOR),  # FacesHQ
        (cells + boxes.length(0, 0), 8192): boxes,  # COCO scenes
    }
    condition = known.get((block_size, vocab_size))
    if condition is None:
        raise ConfigError(
            f"{name} does not say what it was conditioned on, and no published model has its {vocab_size} tokens and "
            f"block size {block_size}. {advice}"
        )
    return condition
