"""A penalty on spots of huge magnitude in a decoder's feature maps.

Group normalization divides by the statistics of a whole map. A decoder can learn to steer them from one spot, mostly a
corner, which zero padding tells apart: it puts most of a map's energy there and so sets the scale of everything else.
The last layers cannot hide the spot, and pictures show a speck. These are the droplets of the first StyleGAN (Karras et
al. 2020, arXiv:1912.04958, section 2). StyleGAN2 changed the layers; a penalty leaves them, and the checkpoints, as
published.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import BackwardCFunction, FunctionCtx
from torch.utils.hooks import RemovableHandle

CELLS = 16  # to a side of a map: smaller than a spot, larger than the bright lines of a picture
# The largest ratio of all maps of an image was 42 to 48 on average in a decoder with a spot. Once it was trained away,
# 4.5 for scenes and 5.6 for photographs.
PEAK_LIMIT = 6.0


class PeakWatch:
    """Measures the maps that the group normalizations in `decoder` are given, where they are made.

    So no map, and no gradient of one, is held that training would not hold anyway. The hooks stay until `stop` or the
    next pass: gradient checkpointing makes the maps again in the backward pass, and must find the same operations.
    """

    def __init__(self, decoder: nn.Module) -> None:
        self._decoder = decoder
        self._handles: list[RemovableHandle] = []

    @contextmanager
    def measure(self) -> Iterator[list[Tensor]]:
        """The peak ratios (B,) of all maps, once `decoder` has run inside.

        It must run with gradients on: without, large images are normalized in chunks (`modules/fast/chunked.py`).
        """
        self.stop()
        ratios: list[Tensor] = []
        is_open = True

        def look(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            if torch.is_grad_enabled():
                ratio = peak_ratio(inputs[0])
                if is_open:
                    ratios.append(ratio)

        norms = [module for module in self._decoder.modules() if isinstance(module, nn.GroupNorm)]
        self._handles = [norm.register_forward_pre_hook(look) for norm in norms]
        yield ratios
        is_open = False

    def stop(self) -> None:
        """Remove the hooks."""
        for handle in self._handles:
            handle.remove()
        self._handles = []


def peak_ratio(features: Tensor) -> Tensor:
    """Energy of the strongest cell of each map over the mean; (B, C, H, W) -> (B,) float32, 1 to 256."""
    # bfloat16 has the range of float32, so squares fit, and a copy would cost more than all the rest.
    features = features if features.dtype == torch.bfloat16 else features.float()
    energy = ChannelEnergy.apply(features)  # (B, 1, H, W)
    cells = F.adaptive_avg_pool2d(energy, CELLS).flatten(1) + 1e-12  # (B, 256); maps may be all zero
    return cells.amax(1) / cells.mean(1)


class ChannelEnergy(torch.autograd.Function):
    """Mean square over channels, (B, C, H, W) -> (B, 1, H, W) float32, with less memory than autograd takes."""

    @staticmethod
    def forward(ctx: FunctionCtx, features: Tensor) -> Tensor:
        ctx.save_for_backward(features)
        return (features * features).mean(1, keepdim=True, dtype=torch.float32)

    @staticmethod
    def backward(ctx: BackwardCFunction, gradient: Tensor) -> Tensor:
        (features,) = ctx.saved_tensors
        return features * (gradient * (2 / features.shape[1])).to(features.dtype)


def peak_loss(ratios: Sequence[Tensor]) -> Tensor:
    """By how many e-folds the peak `ratios`, (B,) of each map, exceed PEAK_LIMIT, on average."""
    return F.relu((torch.stack([*ratios]) / PEAK_LIMIT).log()).mean()
