"""Pictures for people: many samples on one labelled sheet."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

MARGIN_PX = 6
LABEL_PX = 20
FONT_PX = 13
PAPER = (250, 250, 250)
INK = (40, 40, 40)


def labelled_sheet(
    images: Sequence[Image.Image], labels: Sequence[str], columns: int, font_px: int = FONT_PX
) -> Image.Image:
    """Lay `images` out in rows of `columns`, each under its label; smaller ones are centered in their cell.

    Raises:
        ValueError: no images, or not one label for each.
    """
    if not images or len(images) != len(labels):
        raise ValueError(f"a sheet needs images and one label for each, not {len(images)} and {len(labels)}")
    cell_width = max(image.width for image in images)
    cell_height = max(image.height for image in images)
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    label_px = LABEL_PX + font_px - FONT_PX
    step_x, step_y = cell_width + MARGIN_PX, cell_height + MARGIN_PX + label_px
    sheet = Image.new("RGB", (columns * step_x + MARGIN_PX, rows * step_y + MARGIN_PX), PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=font_px)
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        left = MARGIN_PX + index % columns * step_x
        top = MARGIN_PX + index // columns * step_y
        draw.text((left + cell_width / 2, top + label_px / 2), label, INK, font, anchor="mm")
        inset_x, inset_y = (cell_width - image.width) // 2, (cell_height - image.height) // 2
        sheet.paste(image.convert("RGB"), (left + inset_x, top + label_px + inset_y))
    return sheet
