"""The pictures on the cards: `python -m devtools.templates.thumbnails [WORDS]` runs the workflows and draws them.

A workflow that runs at once gets what its own first run gives. One that needs a download gets what can be shown without
the model, and says what has to be fetched. It needs Pillow, so run it with `.venv`'s Python.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

from taming.viz import labelled_sheet

from .. import ROOT
from ..host import get_host, make_base
from ..server import Server
from ..steps import say
from ..workflows import example_workflows, has_words, models_to_download, nodes_of, read_prompt, upload_examples
from .published import ZOO, size_of

SIDE_PX = 512
BAND_PX, BAND_FONT_PX = 76, 40  # of the line at the bottom
NAME_FONT_PX = 30
GALLERY = ROOT / "docs" / "images" / "gallery.jpg"
GALLERY_PX, GALLERY_COLUMNS, GALLERY_FONT_PX = 300, 4, 20
TOKENS = 24  # on a side of a picture that is shown in tokens
INK, BAND = (255, 255, 255), (24, 24, 28)
PHOTOS = ROOT / "web" / "examples"
HUES = {"sky-other": 205, "sea": 230, "mountain": 25, "grass": 100, "sand": 45, "person": 345, "dog": 285, "kite": 10}
WRITTEN_ON = (44, 62, 80)
WORDS = {  # by what is in the name of a workflow that has nothing to show before its model draws
    "ImageNet class": ("golden\nretriever", "1 of 1,000 classes"),
    "face": ("a face", "from nothing"),
}


def main(words: list[str]) -> None:
    """Write a thumbnail beside each workflow that has all the words in its name, and the gallery of the README."""
    files = [file for file in example_workflows() if has_words(file.stem, words)]
    host = get_host()
    with tempfile.TemporaryDirectory() as folder:
        make_base(Path(folder), host)
        with Server(host, Path(folder)) as server:
            upload_examples(server)
            object_info = server.get("/object_info")
            for file in files:
                prompt = read_prompt(file, object_info)
                if nodes_of(prompt, "TamingRecipe"):
                    say(f"{file.stem}: left as it is, it trains")
                    continue
                make_thumbnail(server, file, prompt).save(file.with_suffix(".jpg"), quality=88, optimize=True)
                say(file.stem)
    make_gallery(example_workflows()).save(GALLERY, quality=88, optimize=True)


def make_gallery(files: list[Path]) -> Image.Image:
    """The thumbnails of the workflows that run at once, with their names."""
    shown = [file for file in files if file.stem.startswith("0")]
    thumbnails = [Image.open(file.with_suffix(".jpg")).resize((GALLERY_PX, GALLERY_PX)) for file in shown]
    names = [file.stem[3:].partition(" (")[0] for file in shown]
    return labelled_sheet(thumbnails, names, GALLERY_COLUMNS, GALLERY_FONT_PX)


def make_thumbnail(server: Server, file: Path, prompt: dict[str, Any]) -> Image.Image:
    """Run what can be run of a prompt, and lay it out on a square."""
    needed = models_to_download(prompt)
    if not needed:
        pictures = run(server, prompt)
        return halves(pictures[0]) if nodes_of(prompt, "ImageStitch") else on_square(pictures)
    boxes = [box for node in prompt.values() for box in node["inputs"].get("boxes", {}).get("__value__", [])]
    if nodes_of(prompt, "ImageStitch"):
        picture = halves(beside_tokens(Image.open(PHOTOS / "taming_lake.jpg")))
    elif boxes:
        picture = draw_boxes(boxes)
    elif nodes_of(prompt, "PreviewImage"):
        picture = Image.new("RGB", (SIDE_PX, SIDE_PX))
        (shown,) = run(server, upstream(prompt, "PreviewImage"))
        picture.paste(shown.resize((SIDE_PX, SIDE_PX - BAND_PX)))
    else:
        picture = write(*next(text for words, text in WORDS.items() if words in file.stem))
    size = next(size_of(name) for name, model in ZOO.items() if model["file"] == needed[0])
    return with_band(picture, f"{size or 'needs a'} download")


def run(server: Server, prompt: dict[str, Any]) -> list[Image.Image]:
    """The pictures that a prompt saves, or else shows."""
    images = server.run(prompt, timeout=3600)
    wanted = [key for key, node in prompt.items() if node["class_type"] == "SaveImage"]
    return [Image.open(io.BytesIO(data)).convert("RGB") for key in wanted or images for data in images[key]]


def upstream(prompt: dict[str, Any], class_type: str) -> dict[str, Any]:
    """The nodes of one type, and whatever feeds them."""
    kept = [key for key, node in prompt.items() if node["class_type"] == class_type]
    for key in kept:  # grows while it is read
        links = [value for value in prompt[key]["inputs"].values() if isinstance(value, list)]
        kept += [source for source, _ in links if source not in kept]
    return {key: prompt[key] for key in kept}


def halves(pair: Image.Image) -> Image.Image:
    """Of two pictures side by side, the left half of the first and the right half of the second, as one."""
    middle = pair.width // 2
    sides = (pair.crop((0, 0, middle, pair.height)), pair.crop((middle, 0, 2 * middle, pair.height)))
    left, right = (ImageOps.fit(side, (SIDE_PX, SIDE_PX)) for side in sides)
    left.paste(right.crop((SIDE_PX // 2, 0, SIDE_PX, SIDE_PX)), (SIDE_PX // 2, 0))
    ImageDraw.Draw(left).line([(SIDE_PX // 2, 0), (SIDE_PX // 2, SIDE_PX)], INK, 4)
    return left


def on_square(pictures: list[Image.Image]) -> Image.Image:
    """One picture, or four of a batch, on a square; a wide one before a blur of itself."""
    if len(pictures) == 4:
        sheet = Image.new("RGB", (SIDE_PX, SIDE_PX))
        for index, picture in enumerate(pictures):
            small = ImageOps.fit(picture, (SIDE_PX // 2, SIDE_PX // 2))
            sheet.paste(small, (index % 2 * SIDE_PX // 2, index // 2 * SIDE_PX // 2))
        return sheet
    square = ImageOps.fit(pictures[0], (SIDE_PX, SIDE_PX)).filter(ImageFilter.GaussianBlur(24))
    whole = ImageOps.contain(pictures[0], (SIDE_PX, SIDE_PX))
    square.paste(whole, ((SIDE_PX - whole.width) // 2, (SIDE_PX - whole.height) // 2))
    return square


def beside_tokens(picture: Image.Image) -> Image.Image:
    """A picture, and at its right a coarse grid of it, which is how one thinks of tokens."""
    small = ImageOps.fit(picture, (TOKENS, TOKENS), Image.Resampling.BOX)
    pair = Image.new("RGB", (2 * picture.width, picture.height))
    pair.paste(picture)
    pair.paste(small.resize(picture.size, Image.Resampling.NEAREST), (picture.width, 0))
    return pair


def draw_boxes(boxes: list[dict[str, Any]]) -> Image.Image:
    """Boxes with their names, as the editor keeps them for a picture of 256 px."""
    picture = Image.new("RGB", (SIDE_PX, SIDE_PX), BAND)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(NAME_FONT_PX)
    across, down = SIDE_PX / 256, (SIDE_PX - BAND_PX) / 256
    for box in boxes:
        left, top, name = box["x"] * across, box["y"] * down, box["metadata"]["desc"]
        corner = (left + box["width"] * across - 1, top + box["height"] * down - 1)
        draw.rectangle([(left, top), corner], f"hsl({HUES[name]}, 45%, 45%)", INK, 2)
        draw.text((left + 8, top + 4), name, INK, font)
    return picture


def write(words: str, below: str) -> Image.Image:
    """Words alone, where there is nothing to be seen before the model draws."""
    picture = Image.new("RGB", (SIDE_PX, SIDE_PX), WRITTEN_ON)
    draw, middle = ImageDraw.Draw(picture), SIDE_PX // 2
    large, small = ImageFont.load_default(2 * BAND_FONT_PX), ImageFont.load_default(BAND_FONT_PX)
    draw.multiline_text((middle, middle - 50), words, INK, large, anchor="mm", align="center")
    draw.text((middle, middle + 100), below, INK, small, anchor="mm")
    return picture


def with_band(picture: Image.Image, text: str) -> Image.Image:
    """A picture with a line of text over its lower edge."""
    draw = ImageDraw.Draw(picture)
    draw.rectangle([(0, SIDE_PX - BAND_PX), (SIDE_PX, SIDE_PX)], BAND)
    font = ImageFont.load_default(BAND_FONT_PX)
    draw.text((SIDE_PX // 2, SIDE_PX - BAND_PX // 2), text, INK, font, anchor="mm")
    return picture


if __name__ == "__main__":
    main(sys.argv[1:])
