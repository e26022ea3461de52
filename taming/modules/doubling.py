"""A convolution after doubling a picture by nearest neighbor, without the doubled picture."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .memory import empty_picture


def convolve_doubled(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Double H and W of `x`, (B, C, H, W), and convolve with the 3x3 `weight`; (B, O, 2H, 2W).

    Each pixel of the result reads 3x3 pixels that are only 2x2 different ones, so that four 2x2 convolutions, one for
    each parity of row and column, do with 4/9 of the multiplications. They write every second row and column of the
    result; shuffling their channels into place would hold it twice. With gradients it is done as it is said.
    """
    if torch.is_grad_enabled():
        return F.conv2d(F.interpolate(x, scale_factor=2.0, mode="nearest"), weight, bias, padding=1)
    height, width = x.shape[2:]
    out = None
    for row, kernel_rows in enumerate(_fold(weight, 2)):
        for column, kernel in enumerate(_fold(kernel_rows, 3)):
            pixels = F.conv2d(x, kernel.contiguous(), bias, padding=1)  # (B, O, H + 1, W + 1)
            if out is None:  # only now, under autocast, is the type known
                out = empty_picture(pixels, 2 * height, 2 * width)
            out[:, :, row::2, column::2] = pixels[:, :, row : row + height, column : column + width]
    assert out is not None
    return out


def _fold(weight: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """The two taps that three taps along `dim` become at even and at odd places of a doubled picture."""
    first, middle, last = weight.unbind(dim)
    return torch.stack([first, middle + last], dim), torch.stack([first + middle, last], dim)
