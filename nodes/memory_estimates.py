"""How much memory a call will take beside the weights: formulas over the configuration, and where they come from."""

from __future__ import annotations

import torch
from torch import nn

from ..taming.models import Transformer, TransformerConfig, VQModel, VQModelConfig
from ..taming.modules.acceleration import CHUNK_ELEMENTS
from ..taming.sampling.seeds import WIDE_ROW

# Floats that live at once for each pixel, for each channel of the widest layer at full resolution. Peaks that torch's
# profiler saw on a CPU are 3.4 (decoder) and 3.2 (encoder) over widths 32, 64 and 128 at 128 to 512 px. The host asks
# 8.5 and 13.8 for the same layers (comfy/sd.py: 2178 / 256 and 1767 / 128), which leaves room for what convolutions
# on a GPU need while they run.
DECODER_FLOATS = 8.5
ENCODER_FLOATS = 13.8
# The same where a picture is computed in chunks of rows (taming/modules/fast/chunked.py), beside what the chunks take:
# the profiler saw 2.2 and 2.3, and it does not see all that a device keeps. Attention adds nothing to either: it
# runs where pictures are small, and no more of its matrix is there at a time than a chunk has numbers.
HELD_FLOATS = 3
FLOAT_BYTES = 4
INPUT_COPIES = 2  # the picture or the map, and the pixels made of it: a map has a channel for each label
SCORE_COPIES = 3  # of every cell for every code, where a codebook needs them all at once
NOISE_COPIES = 8  # of the random numbers of a row: four rows, and one that is made, in float64
LOGITS_COPIES = 6  # logits, their filtered form, sorted, order, probabilities, running sums
# What autograd keeps of a step in float32, measured with the presets: 37 to 51 floats for each pixel and channel at
# full resolution in a VQGAN, 17 to 30 for each token, layer and channel in a transformer. The discriminator, the
# perceptual network and what a layer needs while it runs come on top.
VQGAN_TRAINING_FLOATS = 100
TRANSFORMER_TRAINING_FLOATS = 60
WEIGHT_COPIES = 5  # weights, gradients, two moments, running averages


def decode_bytes(config: VQModelConfig, height: int, width: int) -> int:
    """To decode one grid of `height` x `width` tokens."""
    channels = max(config.widths[:2])  # the first full-size tensor still has the width of the level below
    pixels = height * width * config.factor**2
    return int(_layer_floats(DECODER_FLOATS, channels * pixels) * FLOAT_BYTES)


def encode_bytes(config: VQModelConfig, height: int, width: int) -> int:
    """To encode one picture of `height` x `width` pixels."""
    cells = height * width // config.factor**2
    layers = _layer_floats(ENCODER_FLOATS, config.widths[0] * height * width)
    inputs = INPUT_COPIES * config.in_channels * height * width
    codes = config.n_embed * config.embed_dim  # as they come out of their layer
    scores = SCORE_COPIES * cells * config.n_embed if config.quantizer in ("gumbel", "dot") else 0
    return int((layers + inputs + codes + scores) * FLOAT_BYTES)


def _layer_floats(whole: float, largest: int) -> float:
    """What layers hold whose largest tensor has `largest` numbers: `whole` times that, or less if it goes in chunks."""
    return min(whole * largest, HELD_FLOATS * largest + whole * CHUNK_ELEMENTS)


def sample_bytes(config: TransformerConfig, batch: int, guided: bool, windows: int) -> int:
    """To sample `batch` grids: keys and values of the whole sequence, activations of its prefix, logits and noise.

    `windows` are in memory at once: more than one where the grids are larger than those of the transformer.
    """
    rows = batch * windows * (2 if guided else 1)
    cache = 2 * config.n_layer * config.block_size * config.n_embd
    activations = 8 * config.block_size * config.n_embd
    noise = NOISE_COPIES * batch * min(config.grid[1], WIDE_ROW) * config.vocab_size
    return int((rows * (cache + activations + LOGITS_COPIES * config.vocab_size) + noise) * FLOAT_BYTES)


def train_vqgan_bytes(config: VQModelConfig, pixels: int) -> int:
    """To train on `pixels` pixels at a time, of all pictures together."""
    with torch.device("meta"):
        weights = WEIGHT_COPIES * _num_weights(VQModel(config))
    return int((weights + VQGAN_TRAINING_FLOATS * max(config.widths[:2]) * pixels) * FLOAT_BYTES)


def train_transformer_bytes(config: TransformerConfig, batch: int) -> int:
    """To train on `batch` sequences at a time."""
    with torch.device("meta"):
        weights = WEIGHT_COPIES * _num_weights(Transformer(config))
    floats = TRANSFORMER_TRAINING_FLOATS * config.n_layer * config.n_embd + LOGITS_COPIES * config.vocab_size
    return int((weights + floats * batch * config.block_size) * FLOAT_BYTES)


def _num_weights(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
