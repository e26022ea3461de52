"""The game between decoder and discriminator: its losses, their balance, and what keeps it stable."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GRADIENT_SCALE = 2.0**10  # a power of two, so that float32 gives the same bits
AdversarialKind = Literal["hinge", "vanilla"]


@dataclass(frozen=True)
class GeneratorLoss:
    """What the autoencoder minimizes, and how the discriminator takes part in it."""

    loss: Tensor  # () reconstruction, codebook and weighted realism
    realism: Tensor  # () minus the discriminator's mean logit of the reconstructions; 0 while it has no share
    adaptive: Tensor  # () the adaptive weight before `share`; 0 while the discriminator has no share


def generator_loss(
    reconstruction: Tensor,
    codebook: Tensor,
    judge: Callable[[], Tensor],
    last_layer: Tensor,
    *,
    share: float,
    codebook_weight: float = 1.0,
) -> GeneratorLoss:
    """Reconstruction + `codebook_weight` * codebook + `share` * adaptive weight * realism (Esser et al. 2021, eq. 6).

    Args:
        reconstruction: () loss that the adaptive weight is measured against.
        codebook: () loss of the quantizer.
        judge: the discriminator's logits of the reconstructions, any shape; called only where `share` is not 0.
        last_layer: weight of the decoder's last layer, through which both losses pass.
        share: how much realism counts, the schedule's warm-up included; 0 switches the discriminator off.
    """
    loss = reconstruction + codebook_weight * codebook
    if not share:
        return GeneratorLoss(loss, loss.new_zeros(()), loss.new_zeros(()))
    realism = realism_loss(judge())
    adaptive = adaptive_weight(reconstruction, realism, last_layer)
    return GeneratorLoss(loss + share * adaptive * realism, realism, adaptive)


def adaptive_weight(reconstruction: Tensor, realism: Tensor, last_layer: Tensor) -> Tensor:
    """Ratio of the two losses' gradients at `last_layer`, in [0, 1e4], without a gradient (Esser et al. 2021, eq. 7).

    The norms are taken in float32, where half precision would overflow.
    """
    rec_norm, real_norm = (_gradient_norm(loss, last_layer) for loss in (reconstruction, realism))
    return (rec_norm / (real_norm + 1e-4)).clamp(0, 1e4).detach()


def _gradient_norm(loss: Tensor, layer: Tensor) -> Tensor:
    """Of the gradient of `loss` at `layer`, scaled on its way through half precision, unless that is too much."""
    for scale in (GRADIENT_SCALE, 1.0):
        (gradient,) = torch.autograd.grad(loss * scale, layer, retain_graph=True)
        norm = gradient.float().norm() / scale
        if norm.isfinite():
            break
    return norm


def realism_loss(fake: Tensor) -> Tensor:
    """What the decoder minimizes: minus the mean of the logits `fake` of its pictures, any shape -> ()."""
    return -fake.mean()


def hinge_loss(real: Tensor, fake: Tensor) -> Tensor:
    """The discriminator's loss of its logits `real` and `fake`: only those on the wrong side of +1 and -1 count."""
    return 0.5 * (F.relu(1 - real).mean() + F.relu(1 + fake).mean())


def vanilla_loss(real: Tensor, fake: Tensor) -> Tensor:
    """The discriminator's loss as half the cross-entropy of real and fake (Goodfellow et al. 2014)."""
    return 0.5 * (F.softplus(-real).mean() + F.softplus(fake).mean())


DISCRIMINATOR_LOSSES: dict[AdversarialKind, Callable[[Tensor, Tensor], Tensor]] = {
    "hinge": hinge_loss,
    "vanilla": vanilla_loss,
}


def r1_penalty(real: Tensor, pixels: Tensor) -> Tensor:
    """Half the squared slope of the discriminator at real pictures (Mescheder et al. 2018, arXiv:1801.04406, eq. 9).

    Args:
        real: its logits of `pixels`, any shape.
        pixels: (B, C, H, W); must have required a gradient before the logits were computed.
    """
    (slope,) = torch.autograd.grad(real.sum(), pixels, create_graph=True)
    return 0.5 * slope.square().flatten(1).sum(1).mean()


class LeCam(nn.Module):
    """Holds the discriminator's logits near running averages of those of the other side, for small data sets.

    Tseng et al. 2021, arXiv:2104.03310, in the one-sided form of the authors' code, as MaskGIT's and MAGVIT's
    tokenizers train with it. The averages are buffers, so that a run which goes on has them.
    """

    real: Tensor  # () running mean logit of real pictures
    fake: Tensor  # () running mean logit of reconstructions

    def __init__(self, decay: float = 0.999) -> None:
        super().__init__()
        self.decay = decay
        self.register_buffer("real", torch.zeros(()))
        self.register_buffer("fake", torch.zeros(()))

    def forward(self, real: Tensor, fake: Tensor) -> Tensor:
        """The penalty of the logits `real` and `fake`, any shape -> (); in training mode, they then join the averages.

        Add it to the discriminator's loss, weighted 0.001 to 0.1.
        """
        penalty = F.relu(real - self.fake).square().mean() + F.relu(self.real - fake).square().mean()
        if self.training:
            # New tensors, not in place: the penalty's gradient still needs the old ones.
            self.real = self.real.lerp(real.detach().float().mean(), 1 - self.decay)
            self.fake = self.fake.lerp(fake.detach().float().mean(), 1 - self.decay)
        return penalty
