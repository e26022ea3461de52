"""What PSNR does not show: whether edges are sharp, and whether corners are like the rest of an image."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from benchmarks.report import print_table

CORNER_PX = 16
_START, _END = slice(None, CORNER_PX), slice(-CORNER_PX, None)
CORNERS = {  # rows and columns
    "upper left": (_START, _START),
    "upper right": (_START, _END),
    "lower left": (_END, _START),
    "lower right": (_END, _END),
}
ERROR, ERROR_DEVIATION = "absolute error", "deviation of the error"

Corners = dict[str, float]  # by name


def gradient_energy(images: Tensor) -> float:
    """Sum of the squared differences of horizontal and vertical neighbors, (B, C, H, W), per image."""
    return sum(images.diff(dim=axis).square().sum().item() for axis in (2, 3)) / len(images)


def measure_gradients(real: Tensor, groups: Mapping[str, Tensor]) -> dict[str, float]:
    """The gradient energy of each group, (B, 3, H, W) in [0, 1], in percent of that of `real` scenes like them."""
    figures = {name: 100 * gradient_energy(images) / gradient_energy(real) for name, images in groups.items()}
    print_table(
        "Gradient energy in percent of that of real scenes",
        ["", "percent"],
        [[name, f"{value:.1f}"] for name, value in figures.items()],
    )
    return figures


def measure_corner_errors(real: Tensor, groups: Mapping[str, Tensor]) -> dict[str, dict[str, Corners]]:
    """Mean absolute error, and deviation of the error, of the corners of reconstructions over those of whole images."""
    measures: dict[str, Callable[[Tensor], float]] = {ERROR: magnitude, ERROR_DEVIATION: deviation}
    figures = {
        measure: {name: compare_corners(images - real, statistic) for name, images in groups.items()}
        for measure, statistic in measures.items()
    }
    for measure, by_group in figures.items():
        print_corners(f"Corners of {CORNER_PX} px: {measure}, of that of the whole image", by_group)
    return figures


def measure_corner_contrast(real: Tensor, groups: Mapping[str, Tensor]) -> dict[str, Corners]:
    """The deviation of the corners of images over that of whole images, where 1 is what `real` scenes have."""
    usual = compare_corners(real, deviation)
    figures = {}
    for name, images in groups.items():
        found = compare_corners(images, deviation)
        figures[name] = {corner: found[corner] / usual[corner] for corner in CORNERS}
    print_corners(f"Corners of {CORNER_PX} px: deviation, of that of the whole image; 1 as in real scenes", figures)
    return figures


def compare_corners(values: Tensor, statistic: Callable[[Tensor], float]) -> Corners:
    """`statistic` of each corner of `values`, (B, C, H, W), over that of the whole."""
    whole = statistic(values)
    return {name: statistic(values[:, :, rows, columns]) / whole for name, (rows, columns) in CORNERS.items()}


def magnitude(values: Tensor) -> float:
    return values.abs().mean().item()


def deviation(values: Tensor) -> float:
    """The standard deviation over the pixels of a channel, averaged over channels and images, (B, C, H, W)."""
    return values.flatten(2).std(2).mean().item()


def print_corners(title: str, figures: Mapping[str, Corners]) -> None:
    rows = [[name, *(f"{value:.2f}" for value in corners.values())] for name, corners in figures.items()]
    print_table(title, ["", *CORNERS], rows)
