"""Drawing on a picture on the command line: strength, mask, padding, size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from command_line import pixels_of
from taming.cli import main


def test_sample_over_a_picture_keeps_a_share_of_it(tmp_path: Path, small_transformer: Path, scene: Path):
    vqgan = str(small_transformer.with_name("small_first_stage.safetensors"))
    source = tmp_path / "source.png"
    Image.open(scene).resize((8, 8)).save(source)
    options = ["--transformer", str(small_transformer), "--image", str(source), "--label", "cat"]
    for strength in ("0", "0.5"):
        assert main(["sample", *options, "--strength", strength, "--out", str(tmp_path / strength)]) == 0
    kept, changed = (pixels_of(tmp_path / strength / "cat_0_0.png") for strength in ("0", "0.5"))
    assert main(["reconstruct", str(source), "--vqgan", vqgan, "--out", str(tmp_path / "whole")]) == 0
    assert torch.equal(kept, pixels_of(tmp_path / "whole" / "source.png"))
    assert not torch.equal(changed, kept)


def test_a_picture_is_scaled_to_the_size_asked_for(tmp_path: Path, scene: Path):
    large = tmp_path / "large.png"
    Image.open(scene).resize((300, 400)).save(large)
    options = ["--width", "128", "--height", "128", "--label", "alpine", "--strength", "0.1"]
    assert main(["sample", "--image", str(large), *options, "--out", str(tmp_path / "out")]) == 0
    assert Image.open(tmp_path / "out" / "alpine_0_0.png").size == (128, 128)


def test_what_a_mask_does_not_touch_stays_as_it_decodes(scene, tmp_path):
    mask = tmp_path / "mask.png"
    white = np.zeros((128, 128), np.uint8)
    white[:, 96:] = 255
    Image.fromarray(white).save(mask)
    common = ["sample", "--image", str(scene), "--label", "beach"]
    assert main([*common, "--mask", str(mask), "--out", str(tmp_path / "masked")]) == 0
    assert main([*common, "--strength", "0", "--out", str(tmp_path / "kept")]) == 0
    masked, kept = (pixels_of(next((tmp_path / name).glob("*.png"))) for name in ("masked", "kept"))
    difference = (masked - kept).abs().mean(dim=(0, 1, 2))  # by column
    assert difference[:64].max() < 0.1 and difference[104:].mean() > 0.1


def test_padding_widens_the_picture_and_keeps_it(scene, tmp_path):
    out = tmp_path / "wide"
    arguments = ["sample", "--image", str(scene), "--label", "alpine", "--pad", "0", "0", "4", "0"]
    assert main([*arguments, "--out", str(out)]) == 0
    wide = pixels_of(next(out.glob("*.png")))
    assert wide.shape == (1, 3, 128, 160)
    assert (wide[..., :96] - pixels_of(scene)[..., :96]).abs().mean() < 0.15


@pytest.mark.parametrize("option", [["--mask", "m.png"], ["--pad", "1", "1", "1", "1"], ["--strength", "0.5"]])
def test_what_needs_a_picture_says_so(option, tmp_path, capsys):
    assert main(["sample", *option, "--out", str(tmp_path)]) == 1
    assert f"error: {option[0]} is about a picture to draw on: give it with --image" in capsys.readouterr().err
