"""How many cells there may be: larger numbers are mistakes, refused before they take memory."""

from ..errors import TokensError
from ..text import shorten

MAX_CELLS = 2**24  # of a batch: four images of 16384 px in tokens of 8 px. No edit of a grid takes 60 bytes for a cell


def check_cells(batch: int, height: int, width: int) -> None:
    """Raise TokensError unless there can be `batch` grids of `height` x `width` tokens."""
    for name, number in (("batch", batch), ("height", height), ("width", width)):
        if number < 1:
            raise TokensError(f"The {name} of the grid is {shorten(number)}; it must be 1 or more.")
    if batch * height * width > MAX_CELLS:
        sizes = " x ".join(map(shorten, (batch, height, width)))
        raise TokensError(
            f"There would be {sizes} tokens (batch, height, width), more than the limit of {MAX_CELLS}. "
            "Use a smaller picture or a smaller batch."
        )
