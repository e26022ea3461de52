"""Starting a run from the weights of a model that exists (`init_from`), instead of from chance."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..checkpoints import load_transformer, load_vqgan
from ..errors import ConfigError
from ..models.transformer import Transformer
from ..models.vqgan import VQModel
from ..modules.quantizers import EMAVectorQuantizer


def start_vqgan_from(model: VQModel, path: str) -> None:
    """Give `model` the weights at `path`. An EMA codebook starts its averages there.

    Raises: ConfigError if they are of another architecture; what `load_vqgan` raises.
    """
    weights = dict(load_vqgan(path).state_dict())
    if isinstance(model.quantize, EMAVectorQuantizer) and "quantize.embedding.weight" in weights:
        codebook = weights["quantize.embedding.weight"]
        weights.setdefault("quantize.embedding.embed_avg", codebook)
        weights.setdefault("quantize.embedding.cluster_size", torch.ones(len(codebook)))
    _copy(weights, model, path)


def start_transformer_from(model: Transformer, path: str) -> None:
    """Give `model` the weights at `path`, of a transformer of the same shape but for what it is told.

    A grid's cells keep their positions, which are the last of a sequence; those before them start at zero where they
    are new. Layers that read a context start from chance where they are new.

    Raises: ConfigError if they are of another architecture; what `load_transformer` raises.
    """
    source, _ = load_transformer(path)
    if source.config.grid != model.config.grid:
        raise ConfigError(
            f"init_from: {path} draws a grid of {source.config.grid}, this recipe one of {model.config.grid}. "
            "Set model.grid, or start from another."
        )
    weights = {key: value for key, value in source.state_dict().items() if not key.startswith("cond_stage.")}
    shared = min(source.config.block_size, model.config.block_size)
    positions = torch.zeros_like(model.pos_emb)
    positions[:, -shared:] = weights["pos_emb"][:, -shared:]
    weights["pos_emb"] = positions
    for key, value in model.state_dict().items():
        if ".cross." in key or ".ln_cross." in key:
            weights.setdefault(key, value)
    _copy(weights, model, path)


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
