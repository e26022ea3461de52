"""Nearest-neighbor upsampling and the convolution after it, as one polyphase convolution."""

import functools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .memory_format import empty_like_format


def nearest_upsample_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Double H and W of `x`, (B, C, H, W), and convolve with the 3x3 `weight`; (B, O, 2H, 2W).

    Each output pixel reads 3x3 pixels of which only 2x2 differ, so four 2x2 convolutions, one for each parity of row
    and column, need 4/9 of the multiplications. They write every second row and column of the result; shuffling their
    channels into place would hold it twice.
    """
    height, width = x.shape[2:]
    out = None
    for row, kernel_rows in enumerate(_fold(weight, 2)):
        for column, kernel in enumerate(_fold(kernel_rows, 3)):
            pixels = F.conv2d(x, kernel.contiguous(), bias, padding=1)  # (B, O, H + 1, W + 1)
            if out is None:  # only now, under autocast, is the dtype known
                out = empty_like_format(pixels, 2 * height, 2 * width)
            out[:, :, row::2, column::2] = pixels[:, :, row : row + height, column : column + width]
    assert out is not None
    return out


def _fold(weight: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """The two taps that three taps along `dim` become at even and at odd places of a doubled image."""
    first, middle, last = weight.unbind(dim)
    return torch.stack([first, middle + last], dim), torch.stack([first + middle, last], dim)


class _UpsampleConv2d(nn.Conv2d):
    """A 3x3 convolution that is given the image before upsampling.

    Only its own forward knows how to fetch, cast or patch its weights under a host. `_conv_forward`, what torch's and
    the host's layers then do with them, is the only place to change what is done.
    """

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if torch.is_grad_enabled():
            return super()._conv_forward(F.interpolate(input, scale_factor=2.0, mode="nearest"), weight, bias)
        return nearest_upsample_conv2d(input, weight, bias)


@functools.cache
def upsample_conv_class(conv_class: type[nn.Conv2d]) -> type[nn.Conv2d]:
    """`conv_class`, which may be a host's, as a layer that is given the image before upsampling.

    Its `plain_class` says what it was, for whoever compares layers.
    """
    return type(f"Upsample{conv_class.__name__}", (_UpsampleConv2d, conv_class), {"plain_class": conv_class})
