"""How the encoder and decoder lay out pictures in memory."""

import torch
from torch import Tensor


def memory_format(device: torch.device) -> torch.memory_format:
    """The order of the dimensions of pictures on `device`.

    A CPU convolves fastest where the channels of a pixel lie side by side; a training step gains nothing from it.
    Elsewhere it stays as torch has it: what a GPU gains was not measured.
    """
    is_faster = device.type == "cpu" and not torch.is_grad_enabled()
    return torch.channels_last if is_faster else torch.contiguous_format


def laid_out(x: Tensor) -> Tensor:
    """`x`, (B, C, H, W), in that format; itself where it is already."""
    return x.contiguous(memory_format=memory_format(x.device))


def empty_picture(like: Tensor, height: int, width: int) -> Tensor:
    """Memory for (B, C, height, width), with the batch, channels, dtype and device of `like`."""
    shape = (*like.shape[:2], height, width)
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=memory_format(like.device))
