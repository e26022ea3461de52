"""Convolutional blocks of the VQGAN encoder and decoder.

Attribute names are those of the published checkpoints (taming-transformers `diffusionmodules/model.py`).
"""

from collections.abc import Callable, Iterator
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .checkpointing import Checkpointed
from .doubling import convolve_doubled
from .memory import laid_out
from .strips import add_in_strips, attend, in_strips, needs_strips, normalization


def group_norm(channels: int, num_groups: int, operations: ModuleType) -> nn.GroupNorm:
    return operations.GroupNorm(num_groups=num_groups, num_channels=channels, eps=1e-6)


def convolve(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """A 3x3 convolution of `x`."""
    growth = max(1, conv.out_channels // conv.in_channels)
    return in_strips(conv, x, 1, growth) if needs_strips(x, growth) else conv(x)


def norm_silu_conv(norm: nn.GroupNorm, conv: Callable[[Tensor], Tensor], x: Tensor, overwrite: bool = False) -> Tensor:
    """A 3x3 convolution of the normalized and activated `x`; `overwrite` allows the result in its place."""
    if needs_strips(x):
        normalized = normalization(norm, x)
        return in_strips(lambda strip: conv(F.silu(normalized(strip), inplace=True)), x, 1, overwrite=overwrite)
    x = F.silu(norm(x), inplace=not torch.is_grad_enabled())  # lets go of what came in
    return conv(x)


class ResnetBlock(nn.Module):
    """Two normalized 3x3 convolutions around a shortcut; (B, in_channels, H, W) -> (B, out_channels, H, W)."""

    def __init__(
        self, in_channels: int, out_channels: int, dropout: float, num_groups: int, operations: ModuleType
    ) -> None:
        super().__init__()
        self.norm1 = group_norm(in_channels, num_groups, operations)
        self.conv1 = operations.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm2 = group_norm(out_channels, num_groups, operations)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = operations.Conv2d(out_channels, out_channels, 3, padding=1)
        if in_channels != out_channels:
            self.nin_shortcut = operations.Conv2d(in_channels, out_channels, 1)
        self.has_shortcut = in_channels != out_channels

    def forward(self, x: Tensor) -> Tensor:
        # One in the other, without a name for what is between them: it would be held until the second is done.
        h = norm_silu_conv(
            self.norm2,
            lambda h: self.conv2(self.dropout(h)),
            norm_silu_conv(self.norm1, self.conv1, x),
            overwrite=True,
        )
        if self.has_shortcut and needs_strips(x):
            return add_in_strips(self.nin_shortcut, x, to=h)
        return add(self.nin_shortcut(x) if self.has_shortcut else x, h)


def add(x: Tensor, h: Tensor) -> Tensor:
    """x + h, in the memory of `h` where that is new and nothing will ask for it."""
    in_place = x.dtype == h.dtype and not torch.is_grad_enabled()  # autocast may leave two types
    return h.add_(x) if in_place else x + h


class AttnBlock(nn.Module):
    """Single-head self-attention over all positions; (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, channels: int, num_groups: int, operations: ModuleType) -> None:
        super().__init__()
        self.norm = group_norm(channels, num_groups, operations)
        self.q = operations.Conv2d(channels, channels, 1)
        self.k = operations.Conv2d(channels, channels, 1)
        self.v = operations.Conv2d(channels, channels, 1)
        self.proj_out = operations.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        normed = self.norm(x)
        q, k, v = (positions_first(layer(normed)) for layer in (self.q, self.k, self.v))  # (B, 1, H*W, C)
        h = attend(q, k, v).squeeze(1).transpose(1, 2).reshape(x.shape)  # (B, C, H, W)
        return add(x, self.proj_out(laid_out(h)))


def positions_first(x: Tensor) -> Tensor:
    """(B, C, H, W) to (B, 1, H*W, C), contiguous: the kernels that build no matrix of weights want that."""
    return x.flatten(2).transpose(1, 2).unsqueeze(1).contiguous()


class Downsample(nn.Module):
    """Halves H and W by a strided convolution padded on the right and bottom, or by averaging."""

    def __init__(self, channels: int, with_conv: bool, operations: ModuleType) -> None:
        super().__init__()
        self.with_conv = with_conv
        if with_conv:
            self.conv = operations.Conv2d(channels, channels, 3, stride=2, padding=0)

    def forward(self, x: Tensor) -> Tensor:
        if not self.with_conv:
            return F.avg_pool2d(x, 2)
        # Two rows, though one below would do: strips and what they make begin at even rows.
        return in_strips(self._convolve, x, halo=2) if needs_strips(x) else self._convolve(x)

    def _convolve(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Doubles H and W by nearest neighbor, then convolves."""

    def __init__(self, channels: int, with_conv: bool, operations: ModuleType) -> None:
        super().__init__()
        self.with_conv = with_conv
        if with_conv:
            self.conv = operations.Conv2d(channels, channels, 3, padding=1)
            # The layer is given the picture before doubling. Its own forward still fetches, casts or patches its
            # weights, as a host may need, and torch lets a layer say what is then done with them.
            self.conv._conv_forward = convolve_doubled

    def forward(self, x: Tensor) -> Tensor:
        if not self.with_conv:
            return F.interpolate(x, scale_factor=2.0, mode="nearest")
        return in_strips(self.conv, x, halo=1, growth=4) if needs_strips(x, growth=4) else self.conv(x)


class MidBlock(Checkpointed):
    """Residual block, attention where there is some, residual block at the lowest resolution."""

    def __init__(self, channels: int, attention: bool, dropout: float, num_groups: int, operations: ModuleType) -> None:
        super().__init__()
        self.block_1 = ResnetBlock(channels, channels, dropout, num_groups, operations)
        self.attn_1 = AttnBlock(channels, num_groups, operations) if attention else nn.Identity()
        self.block_2 = ResnetBlock(channels, channels, dropout, num_groups, operations)

    def forward(self, x: Tensor) -> Tensor:
        for part in (self.block_1, self.attn_1, self.block_2):
            x = self.run(part, x)
        return x


class Level(Checkpointed):
    """One resolution of the encoder or decoder: residual blocks, each followed by attention where there is some."""

    def __init__(
        self, widths: list[tuple[int, int]], attention: bool, dropout: float, num_groups: int, operations: ModuleType
    ) -> None:
        super().__init__()
        self.block = nn.ModuleList(ResnetBlock(i, o, dropout, num_groups, operations) for i, o in widths)
        self.attn = nn.ModuleList(AttnBlock(o, num_groups, operations) for _, o in widths if attention)

    def steps(self) -> Iterator[nn.Module]:
        """What runs, in order."""
        for index, block in enumerate(self.block):
            yield block
            if self.attn:
                yield self.attn[index]

    def forward(self, x: Tensor) -> Tensor:
        for step in self.steps():
            x = self.run(step, x)
        return x


class DownLevel(Level):
    """A level of the encoder; `downsample` halves the resolution at its end, except in the last."""

    def __init__(
        self,
        widths: list[tuple[int, int]],
        attention: bool,
        dropout: float,
        num_groups: int,
        downsample: nn.Module | None,
        operations: ModuleType,
    ) -> None:
        super().__init__(widths, attention, dropout, num_groups, operations)
        self.downsample = downsample

    def steps(self) -> Iterator[nn.Module]:
        yield from super().steps()
        if self.downsample is not None:
            yield self.downsample


class UpLevel(Level):
    """A level of the decoder; `upsample` doubles the resolution at its end, except in the last to run."""

    def __init__(
        self,
        widths: list[tuple[int, int]],
        attention: bool,
        dropout: float,
        num_groups: int,
        upsample: nn.Module | None,
        operations: ModuleType,
    ) -> None:
        super().__init__(widths, attention, dropout, num_groups, operations)
        self.upsample = upsample

    def steps(self) -> Iterator[nn.Module]:
        yield from super().steps()
        if self.upsample is not None:
            yield self.upsample
