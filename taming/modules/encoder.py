"""The VQGAN encoder: pixels to unquantized latents (Esser et al. 2021, arXiv:2012.09841)."""

from collections.abc import Iterable
from types import ModuleType
from typing import cast

from torch import Tensor, nn

from .blocks import DownLevel, Downsample, MidBlock, convolve, group_norm, norm_silu_conv
from .layout import ConvLayout
from .memory import laid_out


class Encoder(nn.Module):
    """Pixels (B, in_channels, H, W) to z (B, z_channels, H / factor, W / factor)."""

    def __init__(self, layout: ConvLayout, operations: ModuleType = nn) -> None:
        super().__init__()
        widths = (layout.ch, *layout.widths)
        last = len(layout.widths) - 1
        self.conv_in = operations.Conv2d(layout.in_channels, layout.ch, 3, padding=1)
        self.down = nn.ModuleList()
        for i, width in enumerate(layout.widths):
            blocks = [(widths[i], width)] + [(width, width)] * (layout.num_res_blocks - 1)
            downsample = None if i == last else Downsample(width, layout.resamp_with_conv, operations)
            self.down.append(
                DownLevel(blocks, layout.has_attention(i), layout.dropout, layout.num_groups, downsample, operations)
            )
        self.mid = MidBlock(widths[-1], layout.mid_attention, layout.dropout, layout.num_groups, operations)
        self.norm_out = group_norm(widths[-1], layout.num_groups, operations)
        self.conv_out = operations.Conv2d(widths[-1], layout.z_channels, 3, padding=1)

    def forward(self, pixels: Tensor) -> Tensor:
        h = convolve(self.conv_in, laid_out(pixels))
        for level in cast("Iterable[DownLevel]", self.down):
            for step in level.steps():  # not `level(h)`: its first tensor would be held until its last is made
                h = level.run(step, h)
        return norm_silu_conv(self.norm_out, self.conv_out, self.mid(h)).contiguous()
