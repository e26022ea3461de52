"""Every kind of picture file decodes as it looks, and damage raises nothing but what is caught."""

from __future__ import annotations

import io
import random

import numpy as np
import pytest
from PIL import Image

from photos import encoded, photo, save, told
from taming.data import PictureFolder
from taming.data.image_io import UNREADABLE_PICTURE, decode_picture

FORMATS = ("png", "jpeg", "webp", "bmp", "tiff", "gif")


def decoded(image, kind="png", **options):
    return decode_picture(io.BytesIO(encoded(image, kind, **options)))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_stand_as_their_camera_was_held(orientation):
    pixels = np.zeros((48, 40, 3), np.uint8)
    pixels[:24, :20] = 255  # white at the upper left, as it should look
    upright = Image.fromarray(pixels)
    undo = {
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270],
    }
    stored = upright
    for step in undo.get(orientation, []):
        stored = stored.transpose(step)
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert (decoded(stored, "png", exif=exif) == pixels).all()


def test_sixteen_bits_keep_their_shades_instead_of_turning_white():
    levels = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    expected = np.repeat((levels >> 8).astype(np.uint8)[..., None], 3, axis=2)
    assert (decoded(Image.fromarray(levels)) == expected).all()
    assert (decoded(Image.fromarray(levels), "tiff") == expected).all()
    assert (decoded(Image.fromarray(levels.astype(np.int32)), "tiff") == expected).all()


def test_a_transparent_level_of_sixteen_bits_becomes_white():
    """Pillow keeps it beside such pixels without applying it."""
    levels = np.full((4, 4), 20_000, np.uint16)
    levels[:2] = 300
    pixels = decoded(Image.fromarray(levels), "png", transparency=300)
    assert (pixels[:2] == 255).all() and (pixels[2:] == 20_000 >> 8).all()


def test_palettes_gray_bits_and_inks_look_like_the_picture_that_was_saved():
    picture = photo(248)
    expected = np.array(picture)
    for kind, mode, slack in (("png", "P", 0), ("gif", "P", 0), ("jpeg", "CMYK", 6), ("tiff", "CMYK", 1)):
        converted = picture.quantize(16) if mode == "P" else picture.convert(mode)
        assert np.abs(decoded(converted, kind).astype(int) - expected).max() <= slack, (kind, mode)
    gray = np.arange(200, dtype=np.uint8).repeat(10).reshape(40, 50)
    assert (decoded(Image.fromarray(gray)) == gray[..., None]).all()
    assert set(np.unique(decoded(Image.fromarray(gray > 99)))) == {0, 255}


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_becomes_white_whatever_color_lies_beneath(mode):
    picture = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    picture.paste((200, 200, 200, 255), (0, 0, 20, 40))
    if mode == "P":
        data = io.BytesIO()
        picture.save(data, "gif", transparency=0)
        pixels = decode_picture(io.BytesIO(data.getvalue()))
    else:
        pixels = decoded(picture.convert(mode))
    assert np.abs(pixels[:, :20].astype(int) - 200).max() <= 8
    assert (pixels[:, 20:] == 255).all()


def test_of_an_animation_the_first_frame_is_taken():
    frames = [photo(value) for value in (111, 555, 999)]
    for kind in ("gif", "webp", "tiff", "png"):
        pixels = decoded(frames[0], kind, save_all=True, append_images=frames[1:])
        assert told(pixels) == 111, kind


def test_pixels_of_unknown_range_are_refused_with_a_reason(tmp_path):
    Image.fromarray(np.ones((40, 40), np.float32)).save(tmp_path / "depth.tif")
    Image.fromarray(np.full((40, 40), 10**6, np.int32)).save(tmp_path / "wide.tif")
    save(tmp_path, ["z.png"])
    pictures = PictureFolder(tmp_path)
    assert [told(sample.image) for sample in pictures] == [0, 0, 0]
    reasons = {entry.path: entry.reason for entry in pictures.broken}
    assert "unknown range" in reasons["depth.tif"] and "more than 16 bits" in reasons["wide.tif"]


@pytest.mark.filterwarnings("ignore")  # Pillow warns of much that it then refuses, and of some that it reads
@pytest.mark.parametrize("kind", FORMATS)
def test_damage_anywhere_in_a_file_raises_nothing_but_what_is_caught(kind):
    rng = random.Random(kind)
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 255, (33, 35, 3), np.uint8))
    whole = encoded(noise, kind)
    failures = 0
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 6)):
            data[rng.randrange(min(len(data), rng.choice([64, 512, len(data)])))] = rng.randrange(256)
        data = data[: rng.choice([len(data), rng.randrange(len(data))])]
        try:
            pixels = decode_picture(io.BytesIO(bytes(data)))
            assert pixels.dtype == np.uint8 and pixels.shape[2] == 3
        except UNREADABLE_PICTURE:
            failures += 1
    assert failures
