"""A sheet of samples, several for each prompt of a fixed list, for people to look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw
from torch import Tensor

from benchmarks.photographs import to_picture
from taming.viz import INK, LABEL_PX, MARGIN_PX, PAPER, write

PROMPTS = Path(__file__).with_name("landscape_prompts.txt")
COLUMNS = 2  # of prompts


def read_prompts() -> list[str]:
    return PROMPTS.read_text(encoding="utf-8").splitlines()


def draw_prompts(prompts: Sequence[str], samples: Tensor, path: Path) -> Path:
    """Write a sheet to `path`: the samples of each prompt, (prompts, samples, 3, H, W) in [0, 1], over their prompt."""
    _, num_samples, _, height, width = samples.shape
    step_x, step_y = num_samples * (width + MARGIN_PX) + MARGIN_PX, height + MARGIN_PX + LABEL_PX
    rows = -(-len(prompts) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * step_x, rows * step_y + MARGIN_PX), PAPER)
    pen = ImageDraw.Draw(sheet)
    for index, prompt in enumerate(prompts):
        left, top = MARGIN_PX + index % COLUMNS * step_x, MARGIN_PX + index // COLUMNS * step_y
        for column, sample in enumerate(samples[index]):
            sheet.paste(to_picture(sample), (left + column * (width + MARGIN_PX), top))
        write(pen, (left, top + height + LABEL_PX / 2), prompt, INK, anchor="lm")
    sheet.save(path)
    return path
