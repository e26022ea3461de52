"""Icon and banner for ComfyUI's registry, from painted scenes: `python -m devtools.registry_images`.

It needs Pillow and the pack, so run it with `.venv`'s Python. The registry wants a square of at most 400 px, and 21:9.
"""

from __future__ import annotations

import itertools

from PIL import Image, ImageDraw

from taming.data.scenes.painting import paint_scene

from . import ROOT

FOLDER = ROOT / "docs" / "registry"
ICON_SEED, ICON_PX, ICON_TOKENS = 3, 384, 8
TOKENS_FROM, UNKNOWN_FROM = 6, 9  # steps from the upper left corner of the icon, half as many across as down
BANNER_SEEDS = (23, 24, 17, 8, 27, 12, 10, 6, 19, 29, 5, 3, 20, 21, 7, 13, 25, 18, 15, 11, 4)  # row by row
BANNER_COLUMNS, BANNER_ROWS, SCENE_PX = 7, 3, 240
BANNER_TOKENS = (5, 8, 12, 20, None, None, None)  # tokens on a side, for each column; None is the scene itself
UNKNOWN = (24, 24, 28)  # a token that is not drawn yet


def main() -> None:
    """Write both images."""
    FOLDER.mkdir(exist_ok=True)
    for name, image in (("icon.png", make_icon()), ("banner.png", make_banner())):
        image.save(FOLDER / name, optimize=True)
        print(FOLDER / name, image.size)


def make_icon() -> Image.Image:
    """Return one scene that is finished at the top, tokens in the middle, and unknown at the lower right."""
    icon = Image.fromarray(paint_scene(ICON_SEED, ICON_PX).image)
    tokens = coarsen(icon, ICON_TOKENS)
    draw = ImageDraw.Draw(icon)
    side = ICON_PX // ICON_TOKENS
    for row, column in itertools.product(range(ICON_TOKENS), repeat=2):
        steps = row + column / 2  # from the finished corner
        if steps < TOKENS_FROM:
            continue
        x, y = column * side, row * side
        if steps < UNKNOWN_FROM:
            icon.paste(tokens.crop((x, y, x + side, y + side)), (x, y))
        fill = None if steps < UNKNOWN_FROM else UNKNOWN
        draw.rectangle((x, y, x + side - 1, y + side - 1), fill, outline=(0, 0, 0))
    return icon


def make_banner() -> Image.Image:
    """Return rows of scenes, from a few coarse tokens on the left to the finished image."""
    banner = Image.new("RGB", (BANNER_COLUMNS * SCENE_PX, BANNER_ROWS * SCENE_PX))
    for index, seed in enumerate(BANNER_SEEDS):
        row, column = divmod(index, BANNER_COLUMNS)
        scene = Image.fromarray(paint_scene(seed, SCENE_PX).image)
        tokens = BANNER_TOKENS[column]
        banner.paste(coarsen(scene, tokens) if tokens else scene, (column * SCENE_PX, row * SCENE_PX))
    return banner


def coarsen(image: Image.Image, tokens: int) -> Image.Image:
    """Return `image` in as many squares of one color on each side as there are `tokens`."""
    return image.resize((tokens, tokens), Image.Resampling.BOX).resize(image.size, Image.Resampling.NEAREST)


if __name__ == "__main__":
    main()
