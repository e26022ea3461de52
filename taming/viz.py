"""Pictures for people: many samples on one labelled sheet."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

MARGIN_PX = 6
LABEL_PX = 20
FONT_PX = 13
SHIFTS = {"l": 0.0, "a": 0.0, "m": 0.5, "r": 1.0}  # how much of a text lies before the place that it is anchored at
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
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        left = MARGIN_PX + index % columns * step_x
        top = MARGIN_PX + index // columns * step_y
        write(draw, (left + cell_width / 2, top + label_px / 2), label, INK, font_px, anchor="mm")
        inset_x, inset_y = (cell_width - image.width) // 2, (cell_height - image.height) // 2
        sheet.paste(image.convert("RGB"), (left + inset_x, top + label_px + inset_y))
    return sheet


def write(
    draw: ImageDraw.ImageDraw,
    place: tuple[float, float],
    text: str,
    ink: tuple[int, int, int],
    font_px: int = FONT_PX,
    anchor: str = "la",
) -> None:
    """Write `text` at `place` in Pillow's own font; `anchor` is left, middle or right, and ascender or middle.

    Before 10.1 Pillow has that font in one small size, with Latin letters alone: others become question marks.
    """
    try:
        font = ImageFont.load_default(size=font_px)
    except TypeError:  # Pillow before 10.1
        font, text = ImageFont.load_default(), text.encode("latin-1", "replace").decode("latin-1")
        shifts = (SHIFTS[letter] for letter in anchor)
        left, top = (at - shift * size for at, shift, size in zip(place, shifts, font.getbbox(text)[2:], strict=True))
        draw.text((left, top), text, ink, font)  # which ignores anchors
    else:
        draw.text(place, text, ink, font, anchor=anchor)
