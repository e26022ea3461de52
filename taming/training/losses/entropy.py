"""Keeping a codebook in use: every latent sure of its code, all codes equally often the one.

As the tokenizers of MaskGIT, MAGVIT-v2 (Yu et al. 2023, arXiv:2310.05737, section 3.1) and IBQ train.
"""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class CodeEntropy:
    """How sure and how even the choice of codes is, in nats; between 0 and log(K)."""

    loss: Tensor  # () per_latent - overall, to be minimized
    per_latent: Tensor  # () mean entropy of the codes of one latent; 0 = sure
    overall: Tensor  # () entropy of the codes of all latents together; log(K) = all equally often


def entropy_loss(scores: Tensor, temperature: float) -> CodeEntropy:
    """Entropies of the softmax of a quantizer's `scores` (B, K, h, w), see its method of that name.

    `temperature` is in units of the scores: about the gap between the best code and its rivals, or neither entropy has
    a gradient. MaskGIT has 0.01 for squared distances and a weight of 0.1.
    """
    log_probs = F.log_softmax(scores.float() / temperature, dim=1).movedim(1, -1).flatten(0, -2)  # (B*h*w, K)
    probs = log_probs.exp()
    per_latent = -(probs * log_probs).sum(1).mean()
    together = probs.mean(0)
    # The floor keeps the gradient finite at codes that no latent has any probability of.
    overall = -(together * (together + 1e-10).log()).sum()
    return CodeEntropy(per_latent - overall, per_latent, overall)
