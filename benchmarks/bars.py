"""Horizontal bars, in groups, as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

WIDTH_PX, MARGIN_PX = 800, 16
ROW_PX, HEADING_PX = 26, 34
FONT_PX, BAR_PX = 15, 16
VALUE_PX = 60  # room for the figure after the longest bar
PAPER, INK, LINE = (255, 255, 255), (40, 40, 40), (170, 170, 170)
OURS, OTHERS = (38, 110, 175), (175, 180, 186)


def draw_bars(groups: Mapping[str, Mapping[str, float]], title: str, ours: str, file: Path) -> Path:
    """Draw a bar for each figure of each group, all on one scale, with a line at 1; those named `ours...` stand out."""
    num_rows = sum(len(bars) for bars in groups.values())
    height = 2 * MARGIN_PX + HEADING_PX + len(groups) * HEADING_PX + num_rows * ROW_PX
    image = Image.new("RGB", (WIDTH_PX, height), PAPER)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=FONT_PX)
    names = [name for bars in groups.values() for name in bars]
    start = MARGIN_PX * 2 + max((draw.textlength(name, font) for name in names), default=0)
    most = max((value for bars in groups.values() for value in bars.values()), default=1.0)
    scale = (WIDTH_PX - MARGIN_PX - VALUE_PX - start) / max(most, 1.0)
    draw.text((MARGIN_PX, MARGIN_PX), title, INK, ImageFont.load_default(size=FONT_PX + 2))
    top = MARGIN_PX + HEADING_PX
    for heading, bars in groups.items():
        draw.text((MARGIN_PX, top + HEADING_PX / 2), heading, INK, font, anchor="lm")
        top += HEADING_PX
        draw.line((start + scale, top, start + scale, top + len(bars) * ROW_PX), LINE)
        for name, value in bars.items():
            middle, end = top + ROW_PX / 2, start + scale * value
            color = OURS if name.startswith(ours) else OTHERS
            draw.rectangle((start, middle - BAR_PX / 2, end, middle + BAR_PX / 2), color)
            draw.text((start - MARGIN_PX / 2, middle), name, INK, font, anchor="rm")
            # On paper of its own, so that the line at 1 does not cross it.
            draw.text((end + 6, middle), f"{value:.2f}", INK, font, "lm", stroke_width=3, stroke_fill=PAPER)
            top += ROW_PX
    image.save(file)
    return file
