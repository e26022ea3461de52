"""Masks on the command line, as programs save them: white is drawn again, black and transparent stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from taming.cli import main
from taming.cli.images import read_mask

SIDE = 8
PAINTED = np.zeros((SIDE, SIDE), bool)
PAINTED[2:5, 3:8] = True
NOISE = np.random.default_rng(0).integers(1, 256, (SIDE, SIDE, 3), dtype=np.uint8)


def two_levels(off: int, on: int, dtype: type = np.uint8) -> Image.Image:
    return Image.fromarray(np.where(PAINTED, on, off).astype(dtype))


def white_over(hidden: np.ndarray | int, opacity: int = 255) -> Image.Image:
    """White where it is painted, the colors `hidden` under what is transparent."""
    colors = np.broadcast_to(np.where(PAINTED[..., None], 255, hidden), (SIDE, SIDE, 3))
    return Image.fromarray(np.dstack([colors, PAINTED * opacity]).astype(np.uint8))


def in_palette(*colors: int) -> Image.Image:
    """The first color, or white where it is painted."""
    image = Image.new("P", (SIDE, SIDE))
    image.putpalette([*colors, 255, 255, 255])
    image.paste(1, mask=two_levels(0, 255))
    return image


def gray_with_alpha(gray: int) -> Image.Image:
    return Image.merge("LA", [two_levels(gray, 255), two_levels(0, 255)])


# Each file: the picture, its kind, and options of Pillow that write it.
FILES = {
    "gray": (two_levels(0, 255), "png", {}),
    "color": (two_levels(0, 255).convert("RGB"), "png", {}),
    "1 bit": (two_levels(0, 255).convert("1"), "png", {}),
    "16 bit": (two_levels(0, 65535, np.uint16), "png", {}),
    "palette": (in_palette(0, 0, 0), "png", {}),
    "opaque with alpha": (two_levels(0, 255).convert("RGBA"), "png", {}),
    "white on transparent white": (white_over(255), "png", {}),
    "white on transparent black": (white_over(0), "png", {}),
    "white on transparent colors": (white_over(NOISE), "png", {}),
    "white on transparent gray": (gray_with_alpha(255), "png", {}),
    "white in a palette with transparent white": (in_palette(255, 255, 254), "png", {"transparency": 0}),
    "white in a gif": (in_palette(255, 255, 254), "gif", {"transparency": 0}),
    "white in a webp": (white_over(255), "webp", {"lossless": True, "exact": True}),
    "white in a tiff": (white_over(255), "tiff", {}),
    "gray with a transparent level": (two_levels(254, 255), "png", {"transparency": 254}),
    "1 bit with a transparent level": (two_levels(0, 255).convert("1"), "png", {"transparency": 0}),
    "16 bit with a transparent level": (two_levels(40_000, 65535, np.uint16), "png", {"transparency": 40_000}),
}


def saved(folder: Path, name: str) -> Path:
    image, kind, options = FILES[name]
    image.save(folder / f"mask.{kind}", **options)
    return folder / f"mask.{kind}"


@pytest.mark.parametrize("name", FILES)
def test_a_mask_is_where_it_is_white_whatever_lies_under_what_is_transparent(name: str, tmp_path: Path, caplog):
    """White on transparent, as paint programs save it, was white all over."""
    mask = read_mask(saved(tmp_path, name))
    assert mask.shape == (1, SIDE, SIDE)
    assert torch.equal(mask[0] > 0, torch.from_numpy(PAINTED)) and mask.max() == 1
    assert caplog.text == ""


def test_soft_edges_and_grays_keep_their_share(tmp_path: Path):
    white_over(255, opacity=51).save(tmp_path / "soft.png")
    two_levels(0, 51).save(tmp_path / "gray.png")
    two_levels(0, 51 * 257, np.uint16).save(tmp_path / "deep.png")
    for name in ("soft", "gray", "deep"):
        torch.testing.assert_close(read_mask(tmp_path / f"{name}.png")[0], torch.from_numpy(PAINTED) * 0.2)


@pytest.mark.parametrize("color", [(255, 0, 0), (0, 200, 0), (0, 0, 30)])
def test_paint_of_any_color_masks(color: tuple[int, int, int], tmp_path: Path):
    """Only red counted."""
    image = Image.new("RGBA", (SIDE, SIDE))
    image.paste((*color, 255), mask=two_levels(0, 255))
    image.save(tmp_path / "mask.png")
    assert torch.equal(read_mask(tmp_path / "mask.png")[0] > 0, torch.from_numpy(PAINTED))


@pytest.mark.parametrize(
    "image",
    [Image.new("L", (8, 8)), Image.new("RGBA", (8, 8), (255, 255, 255, 0)), gray_with_alpha(0).point(lambda level: 0)],
    ids=["black", "transparent", "transparent black"],
)
def test_a_mask_of_nothing_is_said(image: Image.Image, tmp_path: Path, caplog):
    image.save(tmp_path / "mask.png")
    assert not read_mask(tmp_path / "mask.png").any()
    assert "mask.png masks nothing" in caplog.text


def test_black_paint_on_transparent_masks_nothing_and_that_is_said(tmp_path: Path, caplog):
    """Core's Load Image would mask what is transparent, a paint program's user what is painted: nobody can know."""
    Image.merge("LA", [Image.new("L", (SIDE, SIDE)), two_levels(0, 255)]).save(tmp_path / "mask.png")
    assert not read_mask(tmp_path / "mask.png").any()
    assert "what is black or transparent stays" in caplog.text


def test_a_picture_with_holes_as_the_editor_of_comfyui_saves_it_is_told_from_a_mask(tmp_path: Path, caplog):
    colors = np.random.default_rng(0).integers(1, 256, (100, 100, 3), dtype=np.uint8)
    alpha = np.full((100, 100), 255, np.uint8)
    alpha[20:40] = 0
    Image.fromarray(np.dstack([colors, alpha])).save(tmp_path / "clipspace.png")
    mask = read_mask(tmp_path / "clipspace.png")
    assert torch.equal(mask[0] > 0, torch.from_numpy(alpha > 0))
    assert "clipspace.png looks like a picture" in caplog.text and "Convert Mask to Image" in caplog.text


def test_masks_of_all_kinds_draw_the_same_picture(tmp_path: Path, small_transformer: Path):
    Image.fromarray(NOISE).save(tmp_path / "photo.png")
    arguments = ["sample", "--transformer", str(small_transformer), "--image", str(tmp_path / "photo.png")]
    drawn = {}
    for name in ("gray", "white on transparent white", "16 bit with a transparent level"):
        out = tmp_path / name
        assert main([*arguments, "--mask", str(saved(tmp_path, name)), "--out", str(out)]) == 0
        drawn[name] = (out / "sample_0_0.png").read_bytes()
    assert main([*arguments, "--strength", "1", "--out", str(tmp_path / "all")]) == 0
    assert len(set(drawn.values())) == 1
    assert (tmp_path / "all" / "sample_0_0.png").read_bytes() not in drawn.values()


def test_the_help_says_what_a_mask_is(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["sample", "--help"])
    assert "what is black or transparent stays" in " ".join(capsys.readouterr().out.split())
