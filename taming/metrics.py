"""Figures of merit for pictures and codebooks."""

from torch import Tensor


def psnr(a: Tensor, b: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of each pair of pictures, (B, C, H, W) in [0, 1] -> (B,)."""
    return -10 * (a - b).square().mean(dim=(1, 2, 3)).clamp_min(1e-10).log10()


def code_usage(indices: Tensor, num_codes: int) -> float:
    """Share of the codebook that occurs in `indices`, in [0, 1]."""
    return indices.unique().numel() / num_codes


def perplexity(indices: Tensor, num_codes: int) -> float:
    """Exponential of the entropy of the codes in `indices`: how many are used as if evenly."""
    p = indices.flatten().bincount(minlength=num_codes).double()
    p = p[p > 0] / p.sum()
    return float((-(p * p.log()).sum()).exp())
