"""What tokenizers make of images: reconstructions, and how far they are from the originals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.image_statistics import gradient_energy
from benchmarks.photographs import Ruler
from benchmarks.report import print_table
from taming import load_vqgan
from taming.errors import ConfigError
from taming.metrics import code_usage, perplexity, psnr
from taming.models import VQModel
from taming.training.losses.efficientnet import PerceptualDistance

BATCH = 20

# Images (B, 3, H, W) in [0, 1] to their reconstructions and tokens; and the number of codes.
Tokenizer = tuple[Callable[[Tensor], tuple[Tensor, Tensor]], int]


def make_tokenizer(vqgan: VQModel, size_px: int | None = None) -> Tokenizer:
    """A VQGAN that reconstructs images at their own size, or scaled to `size_px` and back."""

    @torch.no_grad()
    def reconstruct(images: Tensor) -> tuple[Tensor, Tensor]:
        tokens = torch.cat([vqgan.encode(scale(batch, size_px) * 2 - 1).indices for batch in images.split(BATCH)])
        decoded = torch.cat([scale(vqgan.decode_indices(batch), images.shape[-1]) for batch in tokens.split(BATCH)])
        return (decoded.clamp(-1, 1) + 1) / 2, tokens

    return reconstruct, vqgan.config.num_tokens


def load_tokenizer(file: Path) -> Tokenizer:
    return make_tokenizer(load_vqgan(file))


def scale(images: Tensor, size_px: int | None) -> Tensor:
    """Squares (B, 3, S, S) of another size; as they are without one, or if they have it."""
    if size_px in (None, images.shape[-1]):
        return images
    return F.interpolate(images, size=(size_px, size_px), mode="bicubic", antialias=True)


def get_ruler() -> Ruler | None:
    """The perceptual distance, where the packages that it needs are installed."""
    try:
        distance = PerceptualDistance()
    except ConfigError:
        print("perceptual distance: not measured: the extra `train` is not installed")
        return None

    @torch.no_grad()
    def measure(a: Tensor, b: Tensor) -> Tensor:
        pairs = zip(a.split(BATCH), b.split(BATCH), strict=True)
        return torch.cat([distance(one * 2 - 1, other * 2 - 1) for one, other in pairs])

    return measure


def measure_tokenizers(
    tokenizers: Mapping[str, Tokenizer], groups: Mapping[str, Tensor], ruler: Ruler | None
) -> tuple[dict[str, dict[str, Tensor]], dict[str, dict[str, dict[str, float]]]]:
    """Reconstruct images, (B, 3, H, W) in [0, 1]; returns the results and the figures, by group and tokenizer."""
    remade: dict[str, dict[str, Tensor]] = {}
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for group, real in groups.items():
        remade[group], figures[group] = {}, {}
        for name, (reconstruct, num_codes) in tokenizers.items():
            made, tokens = reconstruct(real)
            remade[group][name] = made
            figures[group][name] = judge_reconstruction(real, made, tokens, num_codes, ruler)
        columns = list(next(iter(figures[group].values())))
        rows = [[name, *(f"{row[column]:.2f}" for column in columns)] for name, row in figures[group].items()]
        title = f"Reconstruction of {len(real)} {group} never trained on, whole, {real.shape[-1]} px"
        print_table(title, ["", *columns], rows)
    return remade, figures


def judge_reconstruction(
    real: Tensor, made: Tensor, tokens: Tensor, num_codes: int, ruler: Ruler | None
) -> dict[str, float]:
    decibels = psnr(made, real)
    figures = {
        "psnr_mean_db": decibels.mean().item(),
        "psnr_pooled_db": -10 * (made - real).square().mean().log10().item(),
        "psnr_worst_db": decibels.min().item(),
        "gradient_energy_percent": 100 * gradient_energy(made) / gradient_energy(real),
        "codebook_used_percent": 100 * code_usage(tokens, num_codes),
        "perplexity": perplexity(tokens, num_codes),
    }
    if ruler is not None:
        figures["perceptual"] = ruler(made, real).mean().item()
    return figures
