"""The part of a picture that whole tokens cover."""

from __future__ import annotations

import logging

from ..errors import TamingError

_log = logging.getLogger(__name__)


def whole_cells(width: int, height: int, factor: int, name: str = "A picture") -> tuple[slice, slice]:
    """Rows and columns of the middle whose sides are multiples of `factor` pixels; where that is not all, it is logged.

    Raises: TamingError if there is not even one token.
    """
    rows, columns = (_middle(side, factor) for side in (height, width))
    new_width, new_height = columns.stop - columns.start, rows.stop - rows.start
    if not new_width or not new_height:
        raise TamingError(
            f"{name} is {width}x{height} px, less than one token of {factor}x{factor} px. Use a larger picture."
        )
    if (new_width, new_height) != (width, height):
        size, new_size = f"{width}x{height}", f"{new_width}x{new_height}"
        _log.warning("%s was cropped from %s to %s, multiples of %d px.", name, size, new_size, factor)
    return rows, columns


def _middle(side: int, factor: int) -> slice:
    length = side // factor * factor
    start = (side - length) // 2
    return slice(start, start + length)
