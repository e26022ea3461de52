"""How the encoder and decoder lay out pictures in memory."""

import torch
from torch import Tensor

MEMORY_FORMAT = torch.contiguous_format  # `torch.channels_last` is the other that convolutions take


def laid_out(x: Tensor) -> Tensor:
    """`x`, (B, C, H, W), in that format; itself where it is already."""
    return x.contiguous(memory_format=MEMORY_FORMAT)


def empty_picture(like: Tensor, height: int, width: int) -> Tensor:
    """Memory for (B, C, height, width), with the batch, channels, dtype and device of `like`."""
    shape = (*like.shape[:2], height, width)
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=MEMORY_FORMAT)
