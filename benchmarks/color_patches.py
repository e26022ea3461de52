"""How far tokenizers are off on saturated colors, of which scenes have few: flat images, and a chart of patches."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping

import torch
from torch import Tensor

from benchmarks.reconstruction import Tokenizer
from benchmarks.report import print_table

NUM_HUES = 24
CHART_COLUMNS, CHART_ROWS, CELL_PX = 6, 4, 42
EDGE_PX = 8  # of a patch, not measured: neighbors bleed into it
GRAY = 0.5  # around the chart
SRGB_TO_XYZ = torch.tensor(
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]  # IEC 61966-2-1
)
D65 = torch.tensor([0.9505, 1.0, 1.089])


def measure_colors(tokenizers: Mapping[str, Tokenizer], size_px: int) -> dict[str, dict[str, float]]:
    """Errors on patches of NUM_HUES saturated colors, one in each image, and all on one chart."""
    colors = saturated_colors(NUM_HUES)
    flat = colors[:, :, None, None].expand(-1, -1, size_px, size_px)
    chart = draw_chart(colors, size_px)
    figures: dict[str, dict[str, float]] = {}
    for name, (reconstruct, _) in tokenizers.items():
        errors = {
            "flat": color_errors(crop_edges(reconstruct(flat)[0]), colors),
            "chart": color_errors(crop_edges(cut_chart(reconstruct(chart[None])[0][0])), colors),
        }
        figures[name] = {f"{kind}, {unit}": value for kind, units in errors.items() for unit, value in units.items()}
    columns = list(next(iter(figures.values())))
    rows = [[name, *(f"{row[column]:.1f}" for column in columns)] for name, row in figures.items()]
    print_table(f"Mean error of {NUM_HUES} saturated colors", ["", *columns], rows)
    return figures


def saturated_colors(num_hues: int) -> Tensor:
    """Hues around the circle, at full saturation and value, (num_hues, 3) in [0, 1]."""
    return torch.tensor([colorsys.hsv_to_rgb(index / num_hues, 1.0, 1.0) for index in range(num_hues)])


def draw_chart(colors: Tensor, size_px: int) -> Tensor:
    """Patches of `colors`, (N, 3), in the middle of a gray image, (3, size, size)."""
    chart = torch.full((3, size_px, size_px), GRAY)
    cells = colors.view(CHART_ROWS, CHART_COLUMNS, 3).permute(2, 0, 1)  # (3, rows, columns)
    patches = cells.repeat_interleave(CELL_PX, dim=1).repeat_interleave(CELL_PX, dim=2)
    top, left = chart_corner(size_px)
    chart[:, top : top + patches.shape[1], left : left + patches.shape[2]] = patches
    return chart


def cut_chart(chart: Tensor) -> Tensor:
    """The patches of a chart, (3, S, S), row by row, (N, 3, CELL_PX, CELL_PX)."""
    top, left = chart_corner(chart.shape[-1])
    patches = chart[:, top : top + CHART_ROWS * CELL_PX, left : left + CHART_COLUMNS * CELL_PX]
    cells = patches.unflatten(2, (CHART_COLUMNS, CELL_PX)).unflatten(1, (CHART_ROWS, CELL_PX))
    return cells.permute(1, 3, 0, 2, 4).flatten(0, 1)  # (3, rows, y, columns, x) -> (N, 3, y, x)


def chart_corner(size_px: int) -> tuple[int, int]:
    return (size_px - CHART_ROWS * CELL_PX) // 2, (size_px - CHART_COLUMNS * CELL_PX) // 2


def crop_edges(patches: Tensor) -> Tensor:
    return patches[..., EDGE_PX:-EDGE_PX, EDGE_PX:-EDGE_PX]


def color_errors(patches: Tensor, colors: Tensor) -> dict[str, float]:
    """How far patches, (N, 3, H, W), are from their colors, (N, 3): each pixel, of 255; their mean color, by CIE76."""
    distance = (to_lab(patches.mean((2, 3))) - to_lab(colors)).norm(dim=1)
    return {
        "of 255": 255 * (patches - colors[:, :, None, None]).abs().mean().item(),
        "CIE76": distance.mean().item(),
    }


def to_lab(colors: Tensor) -> Tensor:
    """sRGB in [0, 1] to CIE 1976 L*a*b*, (..., 3)."""
    linear = torch.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    relative = linear @ SRGB_TO_XYZ.T / D65
    delta = 6 / 29
    root = torch.where(relative > delta**3, relative ** (1 / 3), relative / (3 * delta**2) + 4 / 29)
    x, y, z = root.unbind(-1)
    return torch.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), dim=-1)
