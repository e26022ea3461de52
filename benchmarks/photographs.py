"""Photographs that no model here was trained on: those inside the packages scikit-image and scikit-learn.

They are read as files of the installed packages; neither is imported, so nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from benchmarks.report import print_table
from taming.metrics import psnr
from taming.viz import labelled_sheet

FILES = {
    "skimage": (
        "data/astronaut.png",
        "data/chelsea.png",
        "data/coffee.png",
        "data/rocket.jpg",
        "data/motorcycle_left.png",
        "data/hubble_deep_field.jpg",
        "data/grass.png",
        "data/gravel.png",
        "data/brick.png",
    ),
    "sklearn": ("datasets/images/china.jpg", "datasets/images/flower.jpg"),
}
Ruler = Callable[[Tensor, Tensor], Tensor]  # pictures (B, 3, H, W) in [0, 1], twice, to the distance of each pair, (B,)
NOT_SHOWN = ("motorcycle_left",)  # it comes without a license: measured, never copied into a sheet


def load_photographs(size_px: int) -> dict[str, Tensor]:
    """The middle square of each by its name, (3, size, size) in [0, 1]; those of missing packages are left out."""
    found = {}
    for package, names in FILES.items():
        spec = find_spec(package)
        if spec is None:
            print(f"photographs of {package}: not measured, it is not installed (scikit-image, scikit-learn)")
            continue
        folder = Path((spec.submodule_search_locations or [])[0])
        found |= {Path(name).stem: read_photograph(folder / name, size_px) for name in names}
    return found


def read_photograph(file: Path, size_px: int) -> Tensor:
    image = ImageOps.fit(Image.open(file).convert("RGB"), (size_px, size_px), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255


def list_photographs(
    photographs: Mapping[str, Tensor], remade: Mapping[str, Tensor], ruler: Ruler | None
) -> dict[str, dict[str, float]]:
    """The figures of each photograph by itself, as each tokenizer remade them, (B, 3, H, W) in [0, 1]."""
    real = torch.stack([*photographs.values()])
    columns: dict[str, Tensor] = {}
    for name, made in remade.items():
        columns[f"psnr_db, {name}"] = psnr(made, real)
        if ruler is not None:
            columns[f"perceptual, {name}"] = ruler(made, real)
    figures = {
        photograph: {column: values[row].item() for column, values in columns.items()}
        for row, photograph in enumerate(photographs)
    }
    rows = [[name, *(f"{value:.2f}" for value in row.values())] for name, row in figures.items()]
    print_table("Each photograph", ["", *columns], rows)
    return figures


def draw_photographs(photographs: Mapping[str, Tensor], reconstructed: Mapping[str, Tensor], path: Path) -> Path:
    """Write a sheet to `path`: each photograph, and what each tokenizer makes of it, (B, 3, H, W) in [0, 1]."""
    pictures, labels = [], []
    for row, (name, original) in enumerate(photographs.items()):
        if name not in NOT_SHOWN:
            pictures += [to_picture(original), *(to_picture(images[row]) for images in reconstructed.values())]
            labels += [name, *reconstructed]
    each = 1 + len(reconstructed)
    labelled_sheet(pictures, labels, columns=each * max(1, 6 // each)).save(path)
    return path


def to_picture(image: Tensor) -> Image.Image:
    """(3, H, W) in [0, 1] to a picture of 8 bits."""
    return Image.fromarray((image.permute(1, 2, 0) * 255).round().byte().numpy())
