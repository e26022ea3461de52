"""The VQGAN decoder: latents back to pixels (Esser et al. 2021, arXiv:2012.09841)."""

from types import ModuleType

import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import MidBlock, UpLevel, Upsample, group_norm
from .layout import ConvLayout


class Decoder(nn.Module):
    """Latents (B, z_channels, h, w) to unclamped pixels (B, out_ch, h * factor, w * factor)."""

    def __init__(self, layout: ConvLayout, operations: ModuleType = nn) -> None:
        super().__init__()
        widths = (*layout.widths, layout.widths[-1])
        self.conv_in = operations.Conv2d(layout.z_channels, widths[-1], 3, padding=1)
        self.mid = MidBlock(widths[-1], layout.mid_attention, layout.dropout, operations)
        self.up = nn.ModuleList()  # `up.0` is the highest resolution and runs last, as in the published files
        for i, width in enumerate(layout.widths):
            blocks = [(widths[i + 1], width)] + [(width, width)] * layout.num_res_blocks
            upsample = None if i == 0 else Upsample(width, layout.resamp_with_conv, operations)
            self.up.append(UpLevel(blocks, layout.has_attention(i), layout.dropout, upsample, operations))
        self.norm_out = group_norm(widths[0], operations)
        self.conv_out = operations.Conv2d(widths[0], layout.out_ch, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        h = self.mid(self.conv_in(z))
        for level in reversed(self.up):
            h = level(h)
        return self.conv_out(F.silu(self.norm_out(h)))
