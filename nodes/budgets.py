"""How much memory a call will take beside the weights: formulas over the configuration, and where they come from."""

from __future__ import annotations

import torch
from torch import nn

from ..taming.models import Transformer, TransformerConfig, VQModel, VQModelConfig

# Floats that live at once for each pixel, for each channel of the widest layer at full resolution. Peaks that torch's
# profiler saw on a CPU are 5.2 (decoder) and 6.1 (encoder) over widths 32, 64 and 128 at 128 to 512 px. The host asks
# 8.5 and 13.8 for the same layers (comfy/sd.py: 2178 / 256 and 1767 / 128), which leaves room for what convolutions
# on a GPU need while they run.
DECODER_FLOATS = 8.5
ENCODER_FLOATS = 13.8
FLOAT_BYTES = 4
INPUT_COPIES = 2  # the picture or the map, and the pixels made of it: a map has a channel for each label
ATTENTION_COPIES = 3  # every cell's view of every other, where the device has no kernel that does without the matrix
DISTANCE_COPIES = 3  # the matrix of distances to the codes, and what it is summed from
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
    return int((DECODER_FLOATS * channels * pixels + ATTENTION_COPIES * (height * width) ** 2) * FLOAT_BYTES)


def encode_bytes(config: VQModelConfig, height: int, width: int) -> int:
    """To encode one picture of `height` x `width` pixels."""
    cells = height * width // config.factor**2
    layers = (ENCODER_FLOATS * config.widths[0] + INPUT_COPIES * config.in_channels) * height * width
    matrices = DISTANCE_COPIES * cells * config.n_embed + ATTENTION_COPIES * cells**2
    return int((layers + matrices) * FLOAT_BYTES)


def sample_bytes(config: TransformerConfig, batch: int, guided: bool) -> int:
    """To sample `batch` grids: keys and values of the whole sequence, the activations of its prefix, the logits."""
    rows = batch * (2 if guided else 1)
    cache = 2 * config.n_layer * config.block_size * config.n_embd
    activations = 8 * config.block_size * config.n_embd
    return int(rows * (cache + activations + LOGITS_COPIES * config.vocab_size) * FLOAT_BYTES)


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
