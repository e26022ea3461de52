"""Pictures to tokens and back on the command line, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from command_line import VQGAN, pixels_of, refusal
from published import vqgan_weights
from taming import load_vqgan
from taming.checkpoints import codebook_fingerprint
from taming.cli import main


def test_encode_writes_the_tokens_with_their_codebook(scene: Path, tmp_path: Path):
    assert main(["encode", str(scene), "--out", str(tmp_path / "out")]) == 0
    vqgan = load_vqgan(VQGAN)
    with np.load(tmp_path / "out" / "scene.npz", allow_pickle=False) as file, torch.no_grad():
        assert torch.equal(torch.from_numpy(file["indices"]).long(), vqgan.encode(pixels_of(scene)).indices)
        assert file["known"].shape == (1, 16, 16) and file["known"].all()
        assert str(file["codebook"]) == codebook_fingerprint(vqgan.state_dict())


def test_decode_of_encode_is_the_reconstruction(scene: Path, tmp_path: Path):
    tokens, once, twice = tmp_path / "tokens", tmp_path / "once", tmp_path / "twice"
    assert main(["encode", str(scene), "--out", str(tokens)]) == 0
    assert main(["decode", str(tokens / "scene.npz"), "--out", str(once)]) == 0
    assert main(["reconstruct", str(scene), "--out", str(twice)]) == 0
    decoded, reconstructed = pixels_of(once / "scene.png"), pixels_of(twice / "scene.png")
    assert torch.equal(decoded, reconstructed)
    with torch.no_grad():
        expected = load_vqgan(VQGAN)(pixels_of(scene))[0].clamp(-1, 1)
    assert (decoded - expected).abs().max() <= 1.01 / 255, "rounded to the nearest of 256 levels"


def test_a_picture_is_taken_upright_without_transparency_and_cropped_to_whole_tokens(
    tmp_path: Path, small_vqgan: Path, capsys: pytest.CaptureFixture[str]
):
    upright = Image.fromarray(np.random.default_rng(0).integers(0, 255, (11, 8, 3), dtype=np.uint8))
    turned = upright.transpose(Image.Transpose.ROTATE_90).convert("RGBA")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise
    turned.save(tmp_path / "turned.png", exif=exif)
    upright.crop((0, 0, 8, 10)).save(tmp_path / "cropped.png")  # the crop of 1 px leaves the upper 10
    options = ["--vqgan", str(small_vqgan), "--out", str(tmp_path)]
    assert main(["encode", str(tmp_path / "turned.png"), str(tmp_path / "cropped.png"), *options]) == 0
    grids = [np.load(tmp_path / f"{name}.npz")["indices"] for name in ("turned", "cropped")]
    assert grids[0].shape == (1, 5, 4) and np.array_equal(*grids)


def test_several_grids_of_one_file_become_numbered_pictures(tmp_path: Path, scene: Path):
    assert main(["encode", str(scene), "--out", str(tmp_path)]) == 0
    arrays = dict(np.load(tmp_path / "scene.npz"))
    doubled = {name: arrays[name].repeat(2, axis=0) for name in ("indices", "known")}
    np.savez(tmp_path / "two.npz", codebook=arrays["codebook"], **doubled)
    assert main(["decode", str(tmp_path / "two.npz"), "--out", str(tmp_path / "out")]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["two_0.png", "two_1.png"]


def test_tokens_of_another_codebook_are_refused(tmp_path: Path, scene: Path, small_vqgan: Path, capsys):
    assert main(["encode", str(scene), "--out", str(tmp_path)]) == 0
    arguments = ["decode", str(tmp_path / "scene.npz"), "--vqgan", str(small_vqgan), "--out", str(tmp_path / "out")]
    assert "another codebook" in refusal(arguments, capsys)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"known": np.zeros((1, 16, 16), bool)}, "256 cells that are not known"),
        ({"indices": np.full((1, 16, 16), 1024)}, "outside of 0 to 1023"),
        ({"indices": np.full((1, 16, 16), -1)}, "outside of 0 to 1023"),
        ({"indices": np.zeros((16, 16), int)}, "no token grids"),
        ({"indices": np.zeros((1, 16, 16))}, "no token grids"),
        ({"indices": np.array([object()])}, "not a file that `encode` wrote"),
        ({"codebook": np.str_("0" * 64)}, "another codebook"),
    ],
)
def test_damaged_tokens_are_refused(
    tmp_path: Path, scene: Path, capsys, changes: dict[str, np.ndarray], complaint: str
):
    assert main(["encode", str(scene), "--out", str(tmp_path)]) == 0
    np.savez(tmp_path / "bad.npz", **{**np.load(tmp_path / "scene.npz"), **changes})
    assert complaint in refusal(["decode", str(tmp_path / "bad.npz"), "--out", str(tmp_path / "out")], capsys)


def test_no_result_overwrites_an_input_or_another_result(tmp_path: Path, scene: Path, capsys):
    before = scene.read_bytes()
    assert "would be overwritten" in refusal(["reconstruct", str(scene), "--out", str(tmp_path)], capsys)
    assert scene.read_bytes() == before
    other = tmp_path / "other" / "scene.png"
    other.parent.mkdir()
    other.write_bytes(before)
    arguments = ["reconstruct", str(scene), str(other), "--out", str(tmp_path / "out")]
    assert "Several inputs would be written to" in refusal(arguments, capsys)


def test_what_is_no_picture_is_refused(tmp_path: Path, capsys):
    (tmp_path / "text.png").write_text("not a picture", encoding="utf-8")
    Image.new("RGB", (3, 200)).save(tmp_path / "thin.png")
    complaints = {"text.png": "cannot be read as a picture", "missing.png": "cannot be read", "thin.png": "one token"}
    for name, complaint in complaints.items():
        assert complaint in refusal(["encode", str(tmp_path / name), "--out", str(tmp_path)], capsys)


def test_a_tokenizer_of_maps_takes_no_pictures(tmp_path: Path, scene: Path, capsys):
    save_file(vqgan_weights(channels=5), tmp_path / "maps.safetensors")
    arguments = ["encode", str(scene), "--vqgan", str(tmp_path / "maps.safetensors"), "--out", str(tmp_path)]
    assert "5 channels" in refusal(arguments, capsys)


def test_a_folder_that_cannot_be_made_is_one_error(tmp_path: Path, scene: Path, capsys):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    assert str(tmp_path / "file") in refusal(["encode", str(scene), "--out", str(tmp_path / "file")], capsys)
