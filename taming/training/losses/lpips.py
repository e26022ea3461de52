"""LPIPS on VGG16: how different two pictures look (Zhang et al. 2018, arXiv:1801.03924), in the published key layout.

As taming-transformers, taming/modules/losses/lpips.py, has it; `taming.training.losses.load_lpips` gets the weights.
"""

import re

import torch
from torch import Tensor, nn

# Layers of torchvision's VGG16 `features`: what convolves to how many channels, where it pools, and where slices end.
WIDTHS = {0: 64, 2: 64, 5: 128, 7: 128, 10: 256, 12: 256, 14: 256, 17: 512, 19: 512, 21: 512, 24: 512, 26: 512, 28: 512}
POOLS = (4, 9, 16, 23)
SLICES = (range(0, 4), range(4, 9), range(9, 16), range(16, 23), range(23, 30))


class LPIPS(nn.Module):
    """Weighted differences of unit-normalized features of five depths; two (B, 3, H, W) in [-1, 1] -> (B,).

    Sides are 16 px at least. The weights are frozen and the module stays in evaluation mode: it is a fixed ruler.
    `legacy_dropout` lets it follow `train()`, as the reference's does by accident: half of the differences are then
    dropped, by the global random state, in every training step.
    """

    def __init__(self, legacy_dropout: bool = False) -> None:
        super().__init__()
        self.legacy_dropout = legacy_dropout
        self.scaling_layer = Scaling()
        self.net = VGG16Slices()
        for index, span in enumerate(SLICES):
            setattr(self, f"lin{index}", Head(WIDTHS[span[-2]]))
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "LPIPS":
        """Stay in evaluation mode, unless the reference's dropout was asked for."""
        return super().train(mode and self.legacy_dropout)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        distances = []
        pairs = zip(self.net(self.scaling_layer(a)), self.net(self.scaling_layer(b)), strict=True)
        for index, (x, y) in enumerate(pairs):
            difference = (unit(x) - unit(y)).square()
            distances.append(getattr(self, f"lin{index}").model(difference).mean(dim=(1, 2, 3)))
        return torch.stack(distances).sum(0)


class Scaling(nn.Module):
    """From [-1, 1] to the range that VGG16 was trained on."""

    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        return (pixels - self.shift) / self.scale


class VGG16Slices(nn.Module):
    """The convolutions of VGG16 in five slices, whose layers keep torchvision's numbers."""

    def __init__(self) -> None:
        super().__init__()
        channels = 3
        for number, span in enumerate(SLICES, 1):
            layers = nn.Sequential()
            for layer in span:
                if layer in POOLS:
                    layers.add_module(str(layer), nn.MaxPool2d(2))
                elif layer in WIDTHS:
                    layers.add_module(str(layer), nn.Conv2d(channels, WIDTHS[layer], 3, padding=1))
                    channels = WIDTHS[layer]
                else:
                    layers.add_module(str(layer), nn.ReLU(inplace=True))
            setattr(self, f"slice{number}", layers)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features after each slice: strides 1, 2, 4, 8, 16."""
        kept = []
        for number in range(1, len(SLICES) + 1):
            x = getattr(self, f"slice{number}")(x)
            kept.append(x)
        return kept


class Head(nn.Module):
    """How much each channel's difference counts."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.model = nn.Sequential(nn.Dropout(), nn.Conv2d(channels, 1, 1, bias=False))


def unit(features: Tensor) -> Tensor:
    """Features (B, C, h, w) of length one; those that are zero stay zero.

    The floor is inside the root, where the reference has none: at zero its gradient is not a number, which only the
    ReLU before it hides, and in half precision neither is its value.
    """
    squared = features.square().sum(1, keepdim=True)
    return features / (squared.clamp_min(torch.finfo(squared.dtype).tiny).sqrt() + 1e-10)


def published_key(key: str) -> str | None:
    """The name here of the weight that a published file calls `key`; None for what LPIPS does not use.

    Knows torchvision's VGG16 (`features.0.weight`), the authors' heads, and a VQGAN's `loss.perceptual_loss.`.
    """
    key = key.removeprefix("loss.").removeprefix("perceptual_loss.")
    layer = re.fullmatch(r"features\.(\d+)\.(weight|bias)", key)
    if layer is not None:
        number = next((n for n, span in enumerate(SLICES, 1) if int(layer[1]) in span), None)
        return None if number is None else f"net.slice{number}.{layer[1]}.{layer[2]}"
    return key if re.fullmatch(r"net\.slice[1-5]\.\d+\.(weight|bias)|lin[0-4]\.model\.1\.weight", key) else None
