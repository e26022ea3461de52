"""The part of a token grid that a transformer sees at once."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """A rectangle of cells in a grid that is at least as large."""

    top: int
    left: int
    height: int
    width: int
    grid: tuple[int, int]  # (h, w) of the whole

    @property
    def is_whole(self) -> bool:
        return (self.height, self.width) == self.grid
