"""What whole tokens cover of a picture: its middle, and never less than one token."""

import logging

import numpy as np
import pytest
import torch
from PIL import Image

from taming.cli.images import crop_to_cells, read_picture
from taming.data import whole_cells
from taming.data.image_io import decode_picture
from taming.errors import TamingError


@pytest.mark.parametrize("factor", [1, 8, 16])
def test_the_middle_is_taken_whole_tokens_wide_and_less_than_one_is_lost(factor):
    for width, height in ((131, 77), (16, 16), (17, 50)):
        rows, columns = whole_cells(width, height, factor)
        for side, part in ((height, rows), (width, columns)):
            length, after = part.stop - part.start, side - part.stop
            assert length % factor == 0 and side - length < factor
            assert 0 <= after - part.start <= 1


def test_a_crop_is_logged_with_both_sizes_and_a_fit_is_not(caplog):
    caplog.set_level(logging.INFO)
    whole_cells(64, 32, 8)
    assert caplog.text == ""
    whole_cells(131, 77, 8, "photo.png")
    assert "photo.png was cropped from 131x77 to 128x72, multiples of 8 px." in caplog.text


def test_less_than_one_token_is_refused():
    with pytest.raises(TamingError, match=r"photo.png is 40x7 px, less than one token of 8x8 px"):
        whole_cells(40, 7, 8, "photo.png")


def test_the_command_line_sees_a_picture_as_training_does(tmp_path):
    """Shades of 16 bits turned white, and what lies under transparency came out."""
    levels = np.linspace(0, 65535, 32 * 40).astype(np.uint16).reshape(32, 40)
    Image.fromarray(levels).save(tmp_path / "deep.png")
    Image.new("RGBA", (32, 40), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    for name in ("deep.png", "clear.png"):
        seen = ((read_picture(tmp_path / name)[0] + 1) * 127.5).round().permute(1, 2, 0).numpy()
        assert (seen == decode_picture(tmp_path / name)).all()
    assert torch.equal(crop_to_cells(read_picture(tmp_path / "clear.png"), 16, ""), torch.ones(1, 3, 32, 32))
