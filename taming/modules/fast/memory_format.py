"""How images lie in memory while an autoencoder runs without gradients."""

import torch
from torch import Tensor


def memory_format(device: torch.device) -> torch.memory_format:
    """channels_last on a CPU, which convolves fastest so. What a GPU would gain was not measured."""
    return torch.channels_last if device.type == "cpu" else torch.contiguous_format


def to_memory_format(x: Tensor) -> Tensor:
    """`x`, (B, C, H, W), in that format; itself if it is already."""
    return x.contiguous(memory_format=memory_format(x.device))


def empty_like_format(like: Tensor, height: int, width: int) -> Tensor:
    """An uninitialized (B, C, height, width) tensor with the batch, channels, dtype and device of `like`."""
    shape = (*like.shape[:2], height, width)
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=memory_format(like.device))
