"""The layers of `torch.nn` without initial values, for models whose weights come from a file.

On the meta device, where such models are built, drawing initial values would also import two seconds' worth of
torch's compiler.
"""

from torch import nn


class Conv2d(nn.Conv2d):
    def reset_parameters(self) -> None:
        """Leave the weights as they are."""


class Linear(nn.Linear):
    def reset_parameters(self) -> None:
        """Leave the weights as they are."""


class Embedding(nn.Embedding):
    def reset_parameters(self) -> None:
        """Leave the weights as they are."""


class GroupNorm(nn.GroupNorm):
    def reset_parameters(self) -> None:
        """Leave the weights as they are."""


class LayerNorm(nn.LayerNorm):
    def reset_parameters(self) -> None:
        """Leave the weights as they are."""
