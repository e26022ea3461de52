"""Picture files of plain colors, each of which tells a number."""

import io

import numpy as np
from PIL import Image


def photo(value=0, size=(48, 40)):
    """A picture whose mean color tells `value`, 0 to 999."""
    width, height = size
    pixels = np.full((height, width, 3), (value % 10 * 25, value // 10 % 10 * 25, value // 100 * 25), np.uint8)
    return Image.fromarray(pixels)


def told(image):
    """The value that `photo` was given."""
    red, green, blue = (round(float(mean) / 25) for mean in image.reshape(-1, 3).mean(0))
    return red + 10 * green + 100 * blue


def save(folder, names, start=0):
    for value, name in enumerate(names, start):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        photo(value).save(folder / name)


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
