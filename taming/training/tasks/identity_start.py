"""How a VQGAN's layers begin: as torch's chance has it, or close to passing on what they are given.

A fresh decoder hears nothing of colors: at every resolution, random layers and normalizations mix them away, and only
brightness is learned for thousands of steps. From layers that average, double and copy, colors come through at once.
The idea is that of identity shortcuts, put into the weights alone: He et al. 2016 (arXiv:1603.05027), and ICNR
(arXiv:1707.02937) for layers that change the resolution.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...models.vqgan import VQModel
from ...modules.autoencoder import AttnBlock, Downsample, ResnetBlock, Upsample

CHANCE = 0.3  # of the random weights that stay beside a copy, so that channels do not remain equal
BRANCH = 0.1  # of what is added beside a shortcut


@torch.no_grad()
def start_at_identity(model: VQModel) -> None:
    """Let every layer of both coders begin close to what passes its input on; their first and last stay as they are."""
    for layer in (*model.encoder.modules(), *model.decoder.modules()):
        if isinstance(layer, Downsample) and layer.with_conv:
            _pass_on(layer.conv.weight, [(y, x, 0.25) for y in (0, 1) for x in (0, 1)])  # the mean of the four
        elif isinstance(layer, Upsample) and layer.with_conv:
            _pass_on(layer.conv.weight, [(1, 1, 1.0)])
        elif isinstance(layer, ResnetBlock):
            layer.conv2.weight.mul_(BRANCH)
            if layer.has_shortcut:
                _pass_on(layer.nin_shortcut.weight, [(0, 0, 1.0)])
        elif isinstance(layer, AttnBlock):
            layer.proj_out.weight.mul_(BRANCH)


def _pass_on(weight: Tensor, taps: list[tuple[int, int, float]]) -> None:
    """Add to a convolution, (out, in, y, x), the taps of a copy: output i of input i, and around again."""
    weight.mul_(CHANCE)
    outputs = torch.arange(len(weight))
    for y, x, value in taps:
        weight[outputs, outputs % weight.shape[1], y, x] += value
