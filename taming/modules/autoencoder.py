"""The convolutional encoder and decoder of VQGAN (Esser et al. 2021, arXiv:2012.09841).

Attribute names are the keys of the published checkpoints (taming-transformers, `diffusionmodules/model.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from .gradient_checkpointing import GradientCheckpointing


@dataclass(frozen=True, kw_only=True)
class AutoencoderConfig:
    """Widths, depths and attention of encoder and decoder; names as in the published `ddconfig`."""

    ch: int = 128  # width at full resolution
    ch_mult: tuple[int, ...] = (1, 1, 2, 2, 4)  # width of each level, in multiples of `ch`; one halving between levels
    num_res_blocks: int = 2  # per level; the decoder has one more
    attn_resolutions: tuple[int, ...] = (16,)  # levels with attention, counted from `resolution`
    resolution: int = 256  # pixels; only places the attention, any input size runs
    mid_attention: bool = True  # between the two blocks at the lowest resolution
    in_channels: int = 3
    out_ch: int = 3
    z_channels: int = 256
    dropout: float = 0.0
    # Of group normalization. Groups of one channel, as with `ch` 32 and the published 32 groups, lose every channel's
    # mean: colors are then learned slowly, and only through spots that steer the statistics. Groups of four do not.
    num_groups: int = 32
    resamp_with_conv: bool = True

    @property
    def widths(self) -> tuple[int, ...]:
        return tuple(self.ch * m for m in self.ch_mult)

    @property
    def factor(self) -> int:
        """Pixels per latent cell side."""
        return 2 ** (len(self.ch_mult) - 1)

    def has_attention(self, level: int) -> bool:
        return self.resolution // 2**level in self.attn_resolutions


class Encoder(nn.Module):
    """Pixels (B, in_channels, H, W) to z (B, z_channels, H / factor, W / factor)."""

    def __init__(self, config: AutoencoderConfig, operations: ModuleType = nn) -> None:
        super().__init__()
        widths = (config.ch, *config.widths)
        last = len(config.widths) - 1
        self.conv_in = operations.Conv2d(config.in_channels, config.ch, 3, padding=1)
        self.down = nn.ModuleList()
        for i, width in enumerate(config.widths):
            blocks = [(widths[i], width)] + [(width, width)] * (config.num_res_blocks - 1)
            downsample = None if i == last else Downsample(width, config.resamp_with_conv, operations)
            self.down.append(DownLevel(blocks, config.has_attention(i), downsample, config, operations))
        self.mid = MidBlock(widths[-1], config, operations)
        self.norm_out = group_norm(widths[-1], config, operations)
        self.conv_out = operations.Conv2d(widths[-1], config.z_channels, 3, padding=1)

    def forward(self, pixels: Tensor) -> Tensor:
        h = self.conv_in(pixels)
        for level in self.down:
            h = level(h)
        h = self.mid(h)
        return self.conv_out(F.silu(self.norm_out(h)))


class Decoder(nn.Module):
    """Latents (B, z_channels, h, w) to unclamped pixels (B, out_ch, h * factor, w * factor)."""

    def __init__(self, config: AutoencoderConfig, operations: ModuleType = nn) -> None:
        super().__init__()
        widths = (*config.widths, config.widths[-1])
        self.conv_in = operations.Conv2d(config.z_channels, widths[-1], 3, padding=1)
        self.mid = MidBlock(widths[-1], config, operations)
        self.up = nn.ModuleList()  # `up.0` is the highest resolution and runs last, as in the published files
        for i, width in enumerate(config.widths):
            blocks = [(widths[i + 1], width)] + [(width, width)] * config.num_res_blocks
            upsample = None if i == 0 else Upsample(width, config.resamp_with_conv, operations)
            self.up.append(UpLevel(blocks, config.has_attention(i), upsample, config, operations))
        self.norm_out = group_norm(widths[0], config, operations)
        self.conv_out = operations.Conv2d(widths[0], config.out_ch, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        h = self.mid(self.conv_in(z))
        for level in reversed(self.up):
            h = level(h)
        return self.conv_out(F.silu(self.norm_out(h)))


class Level(GradientCheckpointing):
    """One resolution: residual blocks of (in, out) `widths`, each followed by attention if there is any."""

    def __init__(
        self, widths: Sequence[tuple[int, int]], attention: bool, config: AutoencoderConfig, operations: ModuleType
    ) -> None:
        super().__init__()
        self.block = nn.ModuleList(ResnetBlock(i, o, config, operations) for i, o in widths)
        self.attn = nn.ModuleList(AttnBlock(o, config, operations) for _, o in widths if attention)

    def forward(self, x: Tensor) -> Tensor:
        for i, block in enumerate(self.block):
            x = self.run(block, x)
            if self.attn:
                x = self.run(self.attn[i], x)
        return x


class DownLevel(Level):
    """A level of the encoder; `downsample` halves the resolution at its end, except in the last."""

    def __init__(
        self,
        widths: Sequence[tuple[int, int]],
        attention: bool,
        downsample: Downsample | None,
        config: AutoencoderConfig,
        operations: ModuleType,
    ) -> None:
        super().__init__(widths, attention, config, operations)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        x = super().forward(x)
        return x if self.downsample is None else self.run(self.downsample, x)


class UpLevel(Level):
    """A level of the decoder; `upsample` doubles the resolution at its end, except in the last to run."""

    def __init__(
        self,
        widths: Sequence[tuple[int, int]],
        attention: bool,
        upsample: Upsample | None,
        config: AutoencoderConfig,
        operations: ModuleType,
    ) -> None:
        super().__init__(widths, attention, config, operations)
        self.upsample = upsample

    def forward(self, x: Tensor) -> Tensor:
        x = super().forward(x)
        return x if self.upsample is None else self.run(self.upsample, x)


class MidBlock(GradientCheckpointing):
    """Residual block, attention if there is any, residual block at the lowest resolution."""

    def __init__(self, channels: int, config: AutoencoderConfig, operations: ModuleType) -> None:
        super().__init__()
        self.block_1 = ResnetBlock(channels, channels, config, operations)
        self.attn_1 = AttnBlock(channels, config, operations) if config.mid_attention else nn.Identity()
        self.block_2 = ResnetBlock(channels, channels, config, operations)

    def forward(self, x: Tensor) -> Tensor:
        x = self.run(self.block_1, x)
        x = self.run(self.attn_1, x)
        return self.run(self.block_2, x)


class ResnetBlock(nn.Module):
    """Two normalized 3x3 convolutions around a shortcut; (B, in_channels, H, W) -> (B, out_channels, H, W)."""

    def __init__(self, in_channels: int, out_channels: int, config: AutoencoderConfig, operations: ModuleType) -> None:
        super().__init__()
        self.norm1 = group_norm(in_channels, config, operations)
        self.conv1 = operations.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm2 = group_norm(out_channels, config, operations)
        self.dropout = nn.Dropout(config.dropout)
        self.conv2 = operations.Conv2d(out_channels, out_channels, 3, padding=1)
        if in_channels != out_channels:
            self.nin_shortcut = operations.Conv2d(in_channels, out_channels, 1)
        self.has_shortcut = in_channels != out_channels

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(self.dropout(F.silu(self.norm2(h))))
        return h + (self.nin_shortcut(x) if self.has_shortcut else x)


class AttnBlock(nn.Module):
    """Single-head self-attention over all positions; (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, channels: int, config: AutoencoderConfig, operations: ModuleType) -> None:
        super().__init__()
        self.norm = group_norm(channels, config, operations)
        self.q = operations.Conv2d(channels, channels, 1)
        self.k = operations.Conv2d(channels, channels, 1)
        self.v = operations.Conv2d(channels, channels, 1)
        self.proj_out = operations.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x)
        # Contiguous, or torch takes a kernel that holds the whole (H*W, H*W) matrix.
        q, k, v = (rearrange(f(h), "b c h w -> b 1 (h w) c").contiguous() for f in (self.q, self.k, self.v))
        h = F.scaled_dot_product_attention(q, k, v)
        return x + self.proj_out(rearrange(h, "b 1 (h w) c -> b c h w", h=x.shape[2]))


class Downsample(nn.Module):
    """Halves H and W by a strided convolution padded on the right and bottom, or by averaging."""

    def __init__(self, channels: int, with_conv: bool, operations: ModuleType) -> None:
        super().__init__()
        self.with_conv = with_conv
        if with_conv:
            self.conv = operations.Conv2d(channels, channels, 3, stride=2, padding=0)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1))) if self.with_conv else F.avg_pool2d(x, 2)


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


def group_norm(channels: int, config: AutoencoderConfig, operations: ModuleType) -> nn.GroupNorm:
    return operations.GroupNorm(num_groups=config.num_groups, num_channels=channels, eps=1e-6)
