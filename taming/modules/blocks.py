"""Convolutional blocks of the VQGAN encoder and decoder.

Attribute names are those of the published checkpoints (taming-transformers `diffusionmodules/model.py`).
"""

from types import ModuleType

import torch.nn.functional as F
from torch import Tensor, nn

from .checkpointing import Checkpointed


def group_norm(channels: int, operations: ModuleType) -> nn.Module:
    return operations.GroupNorm(num_groups=32, num_channels=channels, eps=1e-6)


class ResnetBlock(nn.Module):
    """Two normalized 3x3 convolutions around a shortcut; (B, in_channels, H, W) -> (B, out_channels, H, W)."""

    def __init__(self, in_channels: int, out_channels: int, dropout: float, operations: ModuleType) -> None:
        super().__init__()
        self.norm1 = group_norm(in_channels, operations)
        self.conv1 = operations.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm2 = group_norm(out_channels, operations)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = operations.Conv2d(out_channels, out_channels, 3, padding=1)
        if in_channels != out_channels:
            self.nin_shortcut = operations.Conv2d(in_channels, out_channels, 1)
        self.has_shortcut = in_channels != out_channels

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(self.dropout(F.silu(self.norm2(h))))
        return (self.nin_shortcut(x) if self.has_shortcut else x) + h


class AttnBlock(nn.Module):
    """Single-head self-attention over all positions; (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, channels: int, operations: ModuleType) -> None:
        super().__init__()
        self.norm = group_norm(channels, operations)
        self.q = operations.Conv2d(channels, channels, 1)
        self.k = operations.Conv2d(channels, channels, 1)
        self.v = operations.Conv2d(channels, channels, 1)
        self.proj_out = operations.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        normed = self.norm(x)
        q, k, v = (layer(normed).flatten(2).transpose(1, 2).unsqueeze(1) for layer in (self.q, self.k, self.v))
        h = F.scaled_dot_product_attention(q, k, v)  # (B, 1, H*W, C)
        return x + self.proj_out(h.squeeze(1).transpose(1, 2).reshape(x.shape))


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
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Doubles H and W by nearest neighbor, then convolves."""

    def __init__(self, channels: int, with_conv: bool, operations: ModuleType) -> None:
        super().__init__()
        self.with_conv = with_conv
        if with_conv:
            self.conv = operations.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        return self.conv(x) if self.with_conv else x


class MidBlock(Checkpointed):
    """Residual block, attention where there is some, residual block at the lowest resolution."""

    def __init__(self, channels: int, attention: bool, dropout: float, operations: ModuleType) -> None:
        super().__init__()
        self.block_1 = ResnetBlock(channels, channels, dropout, operations)
        self.attn_1 = AttnBlock(channels, operations) if attention else nn.Identity()
        self.block_2 = ResnetBlock(channels, channels, dropout, operations)

    def forward(self, x: Tensor) -> Tensor:
        for part in (self.block_1, self.attn_1, self.block_2):
            x = self.run(part, x)
        return x


class Level(Checkpointed):
    """One resolution of the encoder or decoder: residual blocks, each followed by attention where there is some."""

    def __init__(self, widths: list[tuple[int, int]], attention: bool, dropout: float, operations: ModuleType) -> None:
        super().__init__()
        self.block = nn.ModuleList(ResnetBlock(i, o, dropout, operations) for i, o in widths)
        self.attn = nn.ModuleList(AttnBlock(o, operations) for _, o in widths if attention)

    def forward(self, x: Tensor) -> Tensor:
        for index, block in enumerate(self.block):
            x = self.run(block, x)
            if self.attn:
                x = self.run(self.attn[index], x)
        return x


class DownLevel(Level):
    """A level of the encoder; `downsample` halves the resolution at its end, except in the last."""

    def __init__(
        self,
        widths: list[tuple[int, int]],
        attention: bool,
        dropout: float,
        downsample: nn.Module | None,
        operations: ModuleType,
    ) -> None:
        super().__init__(widths, attention, dropout, operations)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        x = super().forward(x)
        return x if self.downsample is None else self.run(self.downsample, x)


class UpLevel(Level):
    """A level of the decoder; `upsample` doubles the resolution at its end, except in the last to run."""

    def __init__(
        self,
        widths: list[tuple[int, int]],
        attention: bool,
        dropout: float,
        upsample: nn.Module | None,
        operations: ModuleType,
    ) -> None:
        super().__init__(widths, attention, dropout, operations)
        self.upsample = upsample

    def forward(self, x: Tensor) -> Tensor:
        x = super().forward(x)
        return x if self.upsample is None else self.run(self.upsample, x)
