"""Where the window of a transformer stands while a larger grid is drawn, cell by cell."""

from ..conditioning import ConditionConfig, Window


def window_at(cell: int, grid: tuple[int, int], size: tuple[int, int], condition: ConditionConfig) -> Window:
    """The window of `size` cells in which `cell` (its number in raster order) of a grid of at least that size is drawn.

    The cell stands in the middle of the window wherever the grid goes on far enough. Of the two middles of an even
    window, scene models were published with the first (upstream `scripts/make_scene_samples.py`), all others with the
    second (`scripts/sample_conditional.py`).
    """
    is_scene = condition.kind == "boxes"
    row, column = divmod(cell, grid[1])
    top, left = (
        min(max(place - (side - is_scene) // 2, 0), length - side)
        for place, length, side in zip((row, column), grid, size, strict=True)
    )
    return Window(top, left, *size, grid)
