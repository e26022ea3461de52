"""The orders in which published transformers read a grid (upstream `taming/modules/transformer/permuter.py`)."""

from collections.abc import Callable

import numpy as np

from ..errors import ConfigError

Order = tuple[int, ...]  # cell numbers in raster order, by their place in the sequence


def row_by_row(height: int, width: int) -> Order:
    """`Identity`; empty, which says the same for a grid of any size."""
    return ()


def coarse_to_fine(height: int, width: int) -> Order:
    """`Subsample`: every second cell of every second row, again and again."""
    levels = _levels(height, width, "Subsample")
    return _sorted(height, width, lambda row, column: [(row >> k & 1, column >> k & 1) for k in range(levels)])


def z_curve(height: int, width: int) -> Order:
    """`ZCurve`: quadrant by quadrant (Morton order)."""
    levels = max(height, width).bit_length()
    return _sorted(height, width, lambda row, column: [(row >> k & 1, column >> k & 1) for k in range(levels)][::-1])


def spiral_out(height: int, width: int) -> Order:
    """`SpiralOut`: from the middle, up first and then clockwise."""
    if height != width or width % 2:
        raise ConfigError(f"SpiralOut needs a square grid with an even side, not {height} x {width}.")
    row, column = width // 2, width // 2 - 1
    cells = [row * width + column]
    for leg in range(2 * width):
        down, right = ((-1, 0), (0, 1), (1, 0), (0, -1))[leg % 4]
        for _ in range(leg // 2 + 1):
            row, column = row + down, column + right
            cells.append(row * width + column)
    return tuple(cells[: width * width])


def spiral_in(height: int, width: int) -> Order:
    """`SpiralIn`: towards the middle."""
    return spiral_out(height, width)[::-1]


def random_order(height: int, width: int) -> Order:
    """`Random`: one permutation, the same for every model."""
    return tuple(np.random.RandomState(1).permutation(height * width).tolist())


def back_and_forth(height: int, width: int) -> Order:
    """`AlternateParsing`: every second row from right to left."""
    rows = np.arange(height * width).reshape(height, width)
    rows[1::2] = rows[1::2, ::-1]
    return tuple(rows.ravel().tolist())


ORDERS: dict[str, Callable[[int, int], Order]] = {
    "taming.modules.transformer.permuter.Identity": row_by_row,
    "taming.modules.transformer.permuter.Subsample": coarse_to_fine,
    "taming.modules.transformer.permuter.ZCurve": z_curve,
    "taming.modules.transformer.permuter.SpiralOut": spiral_out,
    "taming.modules.transformer.permuter.SpiralIn": spiral_in,
    "taming.modules.transformer.permuter.Random": random_order,
    "taming.modules.transformer.permuter.AlternateParsing": back_and_forth,
}


def _levels(height: int, width: int, name: str) -> int:
    if height != width or width & (width - 1):
        raise ConfigError(f"{name} needs a square grid whose side is a power of two, not {height} x {width}.")
    return width.bit_length() - 1


def _sorted(height: int, width: int, key: Callable[[int, int], list[tuple[int, int]]]) -> Order:
    return tuple(sorted(range(height * width), key=lambda cell: key(*divmod(cell, width))))
