"""The VQGAN encoder: pixels to unquantized latents (Esser et al. 2021, arXiv:2012.09841)."""

from types import ModuleType

import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import DownLevel, Downsample, MidBlock, group_norm
from .layout import ConvLayout


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
            self.down.append(DownLevel(blocks, layout.has_attention(i), layout.dropout, downsample, operations))
        self.mid = MidBlock(widths[-1], layout.mid_attention, layout.dropout, operations)
        self.norm_out = group_norm(widths[-1], operations)
        self.conv_out = operations.Conv2d(widths[-1], layout.z_channels, 3, padding=1)

    def forward(self, pixels: Tensor) -> Tensor:
        h = self.conv_in(pixels)
        for level in self.down:
            h = level(h)
        h = self.mid(h)
        return self.conv_out(F.silu(self.norm_out(h)))
