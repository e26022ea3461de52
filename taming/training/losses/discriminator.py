"""PatchGAN discriminator (Isola et al. 2017, arXiv:1611.07004) in the published key layout."""

import torch
from torch import Tensor, nn


class NLayerDiscriminator(nn.Module):
    """Scores overlapping patches as real or not; (B, in_channels, H, W) -> (B, 1, h, w) logits.

    With a `condition` (B, C', H, W) beside the pictures, `in_channels` counts its channels too. Sides are 24 px at
    least with three layers.
    """

    def __init__(self, in_channels: int = 3, ndf: int = 64, n_layers: int = 3) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(in_channels, ndf, 4, 2, 1), nn.LeakyReLU(0.2, True)]
        widths = [ndf * min(2**n, 8) for n in range(n_layers + 1)]
        for n in range(1, n_layers + 1):
            stride = 2 if n < n_layers else 1
            layers += [
                nn.Conv2d(widths[n - 1], widths[n], 4, stride, 1, bias=False),
                nn.BatchNorm2d(widths[n]),
                nn.LeakyReLU(0.2, True),
            ]
        self.main = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4, 1, 1))
        self.apply(init_weights)

    def forward(self, pixels: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.main(pixels if condition is None else torch.cat([pixels, condition], dim=1))


def init_weights(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)
