"""Starting a run from the weights of a model that exists (`init_from`), instead of from chance."""

from __future__ import annotations

from itertools import takewhile

import torch
from torch import Tensor, nn

from ...checkpoints import load_transformer, load_vqgan
from ...conditioning import WordCondition
from ...conditioning.words import FIRST_WORD
from ...errors import ConfigError
from ...models.transformer import Transformer
from ...models.vqgan import VQModel
from ...modules.quantizers import EMAVectorQuantizer

WORDS = "tok_emb.weight"
EMA_AVERAGES = ("quantize.embedding.cluster_size", "quantize.embedding.embed_avg")


def start_vqgan_from(model: VQModel, path: str) -> None:
    """Give `model` the weights at `path`. An EMA codebook starts its averages there.

    Raises: ConfigError if they are of another architecture; what `load_vqgan` raises.
    """
    weights = dict(load_vqgan(path).state_dict())
    if isinstance(model.quantize, EMAVectorQuantizer) and "quantize.embedding.weight" in weights:
        codebook = weights["quantize.embedding.weight"]
        for key, value in zip(EMA_AVERAGES, (torch.ones(len(codebook)), codebook), strict=True):
            weights.setdefault(key, value)
    else:
        weights = {key: value for key, value in weights.items() if key not in EMA_AVERAGES}
    _copy(weights, model, path)


def start_transformer_from(model: Transformer, path: str) -> None:
    """Give `model` the weights at `path`, of a transformer of the same shape but for what it is told.

    The cells of the grid keep what was learned of their positions, whatever is told before them; positions that are
    new start at zero. Layers that read a context start from chance where they are new. Of the words of prompts, those
    that both word lists begin with keep what was learned of them.

    Raises: ConfigError if they are of another architecture; what `load_transformer` raises.
    """
    source, _ = load_transformer(path)
    if source.config.grid != model.config.grid:
        raise ConfigError(
            f"init_from: {path} draws a grid of {source.config.grid}, this recipe one of {model.config.grid}. "
            "Set model.grid, or start from another."
        )
    weights = {key: value for key, value in source.state_dict().items() if not key.startswith("cond_stage.")}
    if source.config.n_embd == model.config.n_embd:
        weights["pos_emb"] = _moved(
            weights["pos_emb"], _first_cell(model) - _first_cell(source), model.config.block_size
        )
    if source.config.vocab_size == model.config.vocab_size and source.config.n_embd == model.config.n_embd:
        shared = model.config.vocab_size + _shared_cond_tokens(source, model)
        weights[WORDS] = torch.cat([weights[WORDS][:shared], model.state_dict()[WORDS][shared:]])
    for key, value in model.state_dict().items():
        if ".cross." in key or ".ln_cross." in key:
            weights.setdefault(key, value)
    _copy(weights, model, path)


def _shared_cond_tokens(source: Transformer, model: Transformer) -> int:
    """How many tokens that are no codes stand for the same in both."""
    old, new = source.config.condition, model.config.condition
    if not isinstance(old, WordCondition) or not isinstance(new, WordCondition):
        return 0
    pairs = zip(old.word_list.words, new.word_list.words, strict=False)  # either may be longer
    return FIRST_WORD + len(list(takewhile(lambda pair: pair[0].name == pair[1].name, pairs)))


def _first_cell(model: Transformer) -> int:
    """The position of the grid's first cell; the condition takes those before it."""
    height, width = model.config.grid
    return model.config.condition.length(height, width) or model.config.block_size + 1 - height * width


def _moved(positions: Tensor, offset: int, block_size: int) -> Tensor:
    """`positions` (1, L, C) from `offset` on, cut or filled up with zeros to (1, block_size, C)."""
    moved = positions.new_zeros(1, block_size, positions.shape[2])
    start, end = max(offset, 0), min(offset + positions.shape[1], block_size)
    moved[:, start:end] = positions[:, start - offset : end - offset]
    return moved


def _copy(weights: dict[str, Tensor], model: nn.Module, path: str) -> None:
    wanted = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    found = {key: tuple(value.shape) for key, value in weights.items()}
    if wanted != found:
        key = min(key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key))
        raise ConfigError(
            f"init_from: {path} is not of the recipe's architecture: {key} is {found.get(key, 'absent')} there and "
            f"{wanted.get(key, 'absent')} here. Change the recipe's model section, or start from another."
        )
    model.load_state_dict(weights)
