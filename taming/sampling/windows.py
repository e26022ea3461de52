"""Where the window of a transformer stands while a larger grid is drawn, cell by cell."""

from ..conditioning import ConditionConfig, Window


def window_at(cell: int, grid: tuple[int, int], size: tuple[int, int], condition: ConditionConfig) -> Window:
    """The window of `size` cells in which `cell` (its number in raster order) of a grid of at least that size is drawn.

    The cell stands in the middle of the window wherever the grid goes on far enough. Of the two middles of an even
    window, scene models were published with the first (upstream `scripts/make_scene_samples.py`), all others with the
    second (`scripts/sample_conditional.py`).
    """
    row, column = divmod(cell, grid[1])
    top, left = window_start(row, grid[0], size[0], condition), window_start(column, grid[1], size[1], condition)
    return Window(top, left, *size, grid)


def window_start(place: int, length: int, side: int, condition: ConditionConfig) -> int:
    """Where the window of `side` cells in which `place` is drawn begins, along an axis of `length` cells."""
    return min(max(place - _middle(side, condition), 0), length - side)


def places_drawn(start: int, length: int, side: int, condition: ConditionConfig) -> range:
    """The places along an axis that are drawn in the window which begins at `start`: one, or more at either end."""
    middle = start + _middle(side, condition)
    return range(middle if start else 0, length if start == length - side else middle + 1)


def _middle(side: int, condition: ConditionConfig) -> int:
    return (side - (condition.is_first_middle)) // 2
