"""Where a VQGAN's decoder builds spots of huge magnitude: corners and peaks of its feature maps, layer by layer.

`python -m benchmarks.trace_decoder taming/assets/scenes_vqgan.safetensors`, with the repository in PYTHONPATH.

The first columns are root mean squares over channels, averaged over images: of the corners, each one sixteenth of the
side of a map, and of its strongest pixel; 1 is the mean of the map. The last is what training penalizes, the energy of
an image's strongest cell over the mean (`taming/training/losses/feature_peaks.py`), averaged over images.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.photographs import read_photograph
from benchmarks.report import print_table
from taming import load_vqgan
from taming.data import SCENE_CLASSES, render_scene
from taming.models import VQModel
from taming.modules.autoencoder import AttnBlock, ResnetBlock, Upsample
from taming.training.losses import peak_ratio

CORNERS = ("upper left", "upper right", "lower left", "lower right")
SHARE = 16  # of the side of a map is a corner
FIRST_SEED = 1_000_000  # of scenes, which no model here was trained on


def main() -> None:
    options = parse_arguments()
    vqgan = load_vqgan(options.vqgan).eval()
    side_px = options.size // vqgan.factor * vqgan.factor
    images = read_folder(options.images, options.count, side_px) if options.images else scenes(options.count, side_px)
    traced = trace(vqgan, images)
    rows = []
    for name, magnitude in traced.magnitudes.items():
        figures = [*corner_means(magnitude), magnitude.amax().item()]
        rows.append([name, *(f"{value / magnitude.mean():.2f}" for value in figures), f"{traced.peaks[name]:.2f}"])
    title = f"{options.vqgan.name}: {len(images)} images of {side_px} px"
    print_table(title, ["layer", *CORNERS, "strongest pixel", "peak"], rows)
    errors = ", ".join(f"{name} {value:.1f}" for name, value in zip(CORNERS, corner_means(traced.error), strict=True))
    print(f"\nmean absolute error, of 255: {traced.error.mean():.1f}; {errors}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vqgan", type=Path, help="its checkpoint")
    parser.add_argument("--images", type=Path, metavar="FOLDER", help="default: procedural scenes")
    parser.add_argument("--count", type=int, default=24, metavar="N", help="of images (default 24)")
    parser.add_argument("--size", type=int, default=128, metavar="PX", help="of images (default 128)")
    return parser.parse_args()


def read_folder(folder: Path, count: int, side_px: int) -> Tensor:
    """The middle squares of the first images in `folder`, (B, 3, H, W) in [-1, 1]."""
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp"))
    return torch.stack([read_photograph(file, side_px) for file in files[:count]]) * 2 - 1


def scenes(count: int, side_px: int) -> Tensor:
    """Procedural scenes of all classes, (B, 3, H, W) in [-1, 1]."""
    images = [render_scene(i % len(SCENE_CLASSES), FIRST_SEED + i, side_px).image for i in range(count)]
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2) / 127.5 - 1


@dataclass(frozen=True)
class Trace:
    """Means over images."""

    magnitudes: dict[str, Tensor]  # of what each layer gives, (H, W)
    peaks: dict[str, float]  # in what each layer gives
    error: Tensor  # (H, W) absolute, of 255


@torch.enable_grad()  # without, large images go through the layers in strips; one at a time, to save memory
def trace(vqgan: VQModel, images: Tensor) -> Trace:
    magnitudes: dict[str, Tensor] = {}
    peaks: dict[str, float] = {}

    def watch(name: str, layer: nn.Module) -> None:
        def add(module: nn.Module, inputs: tuple[Tensor, ...], features: Tensor) -> None:
            features = features.detach()
            magnitudes[name] = magnitudes.get(name, 0) + features[0].square().mean(0).sqrt() / len(images)
            peaks[name] = peaks.get(name, 0.0) + peak_ratio(features).item() / len(images)

        layer.register_forward_hook(add)

    for name, layer in vqgan.decoder.named_modules():
        if isinstance(layer, ResnetBlock | AttnBlock | Upsample) or name.endswith((".conv1", "conv_in")):
            watch(name, layer)
    reconstructions = [vqgan.decode_indices(vqgan.encode(image).indices).detach() for image in images.split(1)]
    error = 127.5 * (torch.cat(reconstructions).clamp(-1, 1) - images).abs().mean((0, 1))
    return Trace(magnitudes, peaks, error)


def corner_means(values: Tensor) -> list[float]:
    """Means of (H, W) in its corners, in the order of CORNERS."""
    side = max(1, len(values) // SHARE)
    near, far = slice(None, side), slice(-side, None)
    return [values[rows, columns].mean().item() for rows in (near, far) for columns in (near, far)]


if __name__ == "__main__":
    main()
