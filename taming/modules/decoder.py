"""The VQGAN decoder: latents back to pixels (Esser et al. 2021, arXiv:2012.09841)."""

from collections.abc import Iterable
from types import ModuleType
from typing import cast

from torch import Tensor, nn

from .blocks import MidBlock, UpLevel, Upsample, convolve, group_norm, norm_silu_conv
from .layout import ConvLayout
from .memory import laid_out


class Decoder(nn.Module):
    """Latents (B, z_channels, h, w) to unclamped pixels (B, out_ch, h * factor, w * factor)."""

    def __init__(self, layout: ConvLayout, operations: ModuleType = nn) -> None:
        super().__init__()
        widths = (*layout.widths, layout.widths[-1])
        self.conv_in = operations.Conv2d(layout.z_channels, widths[-1], 3, padding=1)
        self.mid = MidBlock(widths[-1], layout.mid_attention, layout.dropout, layout.num_groups, operations)
        self.up = nn.ModuleList()  # `up.0` is the highest resolution and runs last, as in the published files
        for i, width in enumerate(layout.widths):
            blocks = [(widths[i + 1], width)] + [(width, width)] * layout.num_res_blocks
            upsample = None if i == 0 else Upsample(width, layout.resamp_with_conv, operations)
            self.up.append(
                UpLevel(blocks, layout.has_attention(i), layout.dropout, layout.num_groups, upsample, operations)
            )
        self.norm_out = group_norm(widths[0], layout.num_groups, operations)
        self.conv_out = operations.Conv2d(widths[0], layout.out_ch, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        h = self.mid(convolve(self.conv_in, laid_out(z)))
        for level in cast("Iterable[UpLevel]", reversed(self.up)):
            for step in level.steps():  # not `level(h)`: its first tensor would be held until its last is made
                h = level.run(step, h)
        return norm_silu_conv(self.norm_out, self.conv_out, h).contiguous()
