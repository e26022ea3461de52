"""The live picture of a sampling run, on the node that draws."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from PIL import Image
from torch import Tensor

from . import host
from .memory_estimates import decode_bytes
from .tiles import decode_tiles
from .types import Tokens, TransformerHandle, VQGANHandle

COST = 0.1  # of the time that drawing takes: previews take no more
SHARE = 0.1  # of the way, after which the picture is shown again,
INTERVAL_SECONDS = 1.0  # or after this much time, if that is earlier
RETRY = 0.1  # of either, where there was no time for it
FIRST_SECONDS = 0.5  # before the first picture: a run that is over by then needs none
TRIAL_ROWS = 2  # decoded before the first picture, to learn what a cell costs
UNKNOWN_GRAY = 128
CELL_PX = 16  # of a token shown as a color
MAX_PX = 2048  # of a side that is shown
GOLDEN_RATIO = 0.618034


class GrowingPicture:
    """Called after every step: moves the progress bar, shows the pictures so far, and lets the user cancel.

    All pictures of the batch are on one sheet. Decoding may take no more than COST of the time: each time as many of
    them are decoded as that allows, in turns, of each only the rows that have been reached; the others stay as they
    were. Without a first stage to decode with, it shows the tokens as colors. A grid that is larger than the
    transformer was trained on is decoded in tiles of that size, so that showing it takes no more memory.
    """

    def __init__(self, transformer: TransformerHandle, tokens: Tokens) -> None:
        self.first_item = 0  # of the batch: where those begin that are drawn now,
        self.part, self.num_parts = 0, 1  # if it is drawn in several
        self._decoder = transformer.first_stage if host.wants_previews() else None
        self._tile = max(transformer.config.grid)
        self._grid = (tokens.indices.shape[1], tokens.indices.shape[2])
        if max(self._grid) * tokens.tokenizer.factor > 2 * MAX_PX:
            self._decoder = None  # most of its pixels would not be shown
        self._sheet = Sheet(len(tokens.indices), self._grid, self._decoder.config.factor if self._decoder else None)
        self._progress: host.SamplingProgress | None = None
        self._budget: Budget | None = None
        self._next_item = 0
        self._due_step = self._due_time = 0.0

    def __enter__(self) -> GrowingPicture:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._progress is not None:
            self._progress.close()

    @property
    def companions(self) -> list[VQGANHandle]:
        """What has to be placed beside the transformer."""
        return [self._decoder] if self._decoder else []

    @property
    def memory(self) -> int:
        """Bytes that showing a picture takes."""
        sides = [min(self._tile, side) for side in self._grid]
        return decode_bytes(self._decoder.config, *sides) if self._decoder else 0

    def __call__(self, done: int, total: int, indices: Tensor, known: Tensor) -> None:
        done, total = self.part * total + done, self.num_parts * total
        self._progress = self._progress or host.SamplingProgress(total)
        if self._budget is None:
            self._budget, self._due_step = Budget(), math.inf
            self._due_time = time.monotonic() + FIRST_SECONDS
        image = None
        is_due = done >= self._due_step or time.monotonic() >= self._due_time
        if host.wants_previews() and is_due and done < total:  # at the end the picture itself comes
            image = self._draw(indices, known, self._budget)
        if is_due:
            pause = RETRY if image is None else 1.0
            self._due_step = done + pause * SHARE * total
            self._due_time = time.monotonic() + pause * INTERVAL_SECONDS
        self._progress.update(done, image, total)

    def _draw(self, indices: Tensor, known: Tensor, budget: Budget) -> Image.Image | None:
        """The sheet with as many pictures renewed as there is time for; None where there is none."""
        indices, known = indices.cpu(), known.cpu()  # waits for what a device has still to draw
        if budget.seconds_per_cell is None:
            for _ in range(2):  # the first time, libraries get ready
                with budget.spend(TRIAL_ROWS * self._grid[1]):
                    self._paint(indices[0, :TRIAL_ROWS], known[0, :TRIAL_ROWS])
        rows = int(known.any(-1).any(0).nonzero().max()) + 1  # reached so far
        cells = rows * self._grid[1]
        count = min(len(indices), budget.items(cells))
        if count == 0:
            return None
        with budget.spend(count * cells):
            for _ in range(count):
                item = self._next_item % len(indices)
                self._next_item = item + 1
                self._sheet.put(self.first_item + item, self._paint(indices[item, :rows], known[item, :rows]))
            return self._sheet.image()

    def _paint(self, indices: Tensor, shown: Tensor) -> Tensor:
        """The first rows of a picture, (h, w) tokens and which of them are shown: (H, W, 3) uint8."""
        # The decoder looks at all of it: cells that are not drawn yet repeat the last one above them.
        above = torch.where(shown, torch.arange(len(shown))[:, None], 0).cummax(0).values
        pixels = self._decoded(indices.gather(0, above))
        factor = len(pixels) // len(shown)
        pixels[~shown.repeat_interleave(factor, 0).repeat_interleave(factor, 1)] = UNKNOWN_GRAY
        return pixels

    def _decoded(self, indices: Tensor) -> Tensor:
        """Colors of the tokens (h, w), (H, W, 3) uint8."""
        if self._decoder is not None:
            there = indices[None].to(self._decoder.patcher.load_device)
            decode, factor = self._decoder.model.decode_indices, self._decoder.config.factor
            pixels = host.unless_out_of_memory(partial(decode_tiles, decode, there, self._tile, factor))
            if pixels is not None:
                return (host.to_image(pixels)[0].cpu().float() * 255).byte()
            self._decoder = None
            self._sheet = Sheet(self._sheet.count, self._grid, None)
        return token_colors(indices, self._sheet.factor)


class Budget:
    """The time that previews may take: COST of what everything else has taken since this was made."""

    def __init__(self) -> None:
        self.seconds_per_cell: float | None = None  # to decode; None before the first trial
        self._start = time.perf_counter()
        self._spent = 0.0

    def items(self, cells: int) -> int:
        """How many pictures of `cells` cells there is time to decode now."""
        assert self.seconds_per_cell is not None  # there was a trial
        others = time.perf_counter() - self._start - self._spent
        return max(0, int((COST * others - self._spent) / (cells * self.seconds_per_cell)))

    @contextmanager
    def spend(self, cells: int) -> Iterator[None]:
        """Count the time of what is done in here, which decodes so many cells."""
        start = time.perf_counter()
        yield
        seconds = time.perf_counter() - start
        self._spent += seconds
        self.seconds_per_cell = seconds / cells


class Sheet:
    """Pictures side by side, gray at first: as large as they are, unless that is more than MAX_PX."""

    def __init__(self, count: int, grid: tuple[int, int], factor: int | None) -> None:
        """`count` pictures of `grid`, (h, w) cells; `factor` is their pixels per cell, None for cells as colors."""
        self.count = count
        self.factor = factor or max(1, min(CELL_PX, MAX_PX // max(grid)))
        height, width = (side * self.factor for side in grid)
        self._columns = max(1, min(count, round(math.sqrt(count * height / width))))
        rows = math.ceil(count / self._columns)
        self._scale = min(1.0, MAX_PX / max(rows * height, self._columns * width))
        self._height, self._width = (max(1, int(side * self._scale)) for side in (height, width))
        shape = (rows * self._height, self._columns * self._width, 3)
        self._pixels = torch.full(shape, UNKNOWN_GRAY, dtype=torch.uint8)

    def put(self, item: int, pixels: Tensor) -> None:
        """Replace the upper rows of picture `item` by `pixels`, (H, W, 3) uint8."""
        if self._scale < 1:
            height = min(self._height, max(1, round(len(pixels) * self._scale)))
            image = Image.fromarray(pixels.numpy()).resize((self._width, height), Image.Resampling.BOX)
            pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(height, self._width, 3)
        top, left = item // self._columns * self._height, item % self._columns * self._width
        self._pixels[top : top + len(pixels), left : left + self._width] = pixels

    def image(self) -> Image.Image:
        """The sheet as it is now."""
        return Image.fromarray(self._pixels.numpy().copy())


def token_colors(indices: Tensor, cell_px: int = CELL_PX) -> Tensor:
    """A color for each token of a grid (h, w), in blocks of `cell_px`: (H, W, 3) uint8."""
    hue = (indices * GOLDEN_RATIO % 1 * 255).byte()
    value = (indices * GOLDEN_RATIO**2 % 1 * 127 + 128).byte()
    layers = [Image.fromarray(layer.numpy()) for layer in (hue, torch.full_like(hue, 160), value)]
    picture = Image.merge("HSV", layers).convert("RGB")
    colors = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8).view(*indices.shape, 3)  # (h, w, 3)
    return colors.repeat_interleave(cell_px, 0).repeat_interleave(cell_px, 1)
