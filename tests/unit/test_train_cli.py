"""Training as the README says: a folder of pictures, a tokenizer, a transformer, a sample; and a user's bad day."""

import os
from pathlib import Path

import pytest
from PIL import Image

from taming.cli import main
from taming.data import SCENE_CLASSES, render_scene

SMALL_VQGAN = [
    "phases=[{steps: 2, batch_size: 2, crop_px: 32}]",
    *("precision=float32", "data.size_px=32", "data.min_px=16", "model.resolution=32", "model.ch=32"),
    *("model.ch_mult=[1,1,2]", "model.num_res_blocks=1", "model.attn_resolutions=[]", "model.n_embed=16"),
    *("model.embed_dim=8", "model.z_channels=8", "loss.quantize_from=1", "loss.adversarial_from=1"),
    *("loss.discriminator_from=0", "loss.adversarial_ramp=0", "optimizer.warmup_steps=1"),
]
SMALL_CLASS = [
    "phases=[{steps: 2, batch_size: 2}]",
    *("precision=float32", "data.size_px=32", "data.min_px=16", "model.vocab_size=16", "model.block_size=64"),
    *("model.n_layer=1", "model.n_head=2", "model.n_embd=16", "model.grid=[8,8]", "optimizer.warmup_steps=1"),
]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two folders of six pictures, of odd sizes and modes, and two files that are none."""
    for label, name in ((0, "alpine"), (7, "beach")):
        folder = tmp_path / "my pictures" / name
        folder.mkdir(parents=True)
        for seed in range(6):
            image = Image.fromarray(render_scene(label, seed, 48).image).resize((40 + seed, 36))
            image.convert(("RGB", "P", "L", "RGBA", "CMYK", "RGB")[seed]).save(folder / f"{seed}.tif")
    (tmp_path / "my pictures" / "beach" / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    (tmp_path / "my pictures" / "notes.txt").write_text("not a picture")
    return tmp_path / "my pictures"


def test_a_folder_becomes_a_tokenizer_a_class_model_and_a_picture(pictures, tmp_path, caplog):
    runs, folder = tmp_path / "runs", f"data.folder={pictures}"
    train = ["--device", "cpu"]
    tokenizer, transformer = runs / "tokenizer" / "model.safetensors", runs / "class" / "model.safetensors"
    assert main(["train", "pictures_vqgan", folder, *SMALL_VQGAN, "--out", str(tokenizer.parent), *train]) == 0
    assert "broken.jpg" in caplog.text
    stage = f"first_stage={tokenizer}"
    assert main(["train", "pictures_class", folder, stage, *SMALL_CLASS, "--out", str(transformer.parent), *train]) == 0
    out = tmp_path / "out"
    assert main(["sample", "--transformer", str(transformer), "--label", "beach", "--out", str(out)]) == 0
    with Image.open(next(out.glob("*.png"))) as drawn:
        assert drawn.size == (32, 32)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: None, "is not a folder"),
        (lambda folder: folder.mkdir(), "holds no pictures"),
        (lambda folder: (folder.mkdir(), (folder / "a.jpg").write_bytes(b"nothing")), "None of the 1 pictures"),
    ],
    ids=["no folder", "empty", "only broken files"],
)
def test_a_folder_without_pictures_is_an_error_in_words(make, words, tmp_path, capsys):
    make(tmp_path / "pictures")
    arguments = ["train", "pictures_vqgan", f"data.folder={tmp_path / 'pictures'}", "--out", str(tmp_path / "run")]
    assert main([*arguments, "--device", "cpu"]) == 1
    assert words in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
@pytest.mark.parametrize(
    "name", ["2021", "007", "on", "cats: black", "[best] cats", "@home", "ende ", "a # b", "~", "'x'", "a\\b", '"']
)
def test_a_folder_of_any_name_is_the_one_that_is_opened(name, tmp_path, monkeypatch, capsys):
    """An empty folder says so by its name."""
    monkeypatch.chdir(tmp_path)
    for folder in (name, name.strip("'"), name.strip()):
        (tmp_path / folder).mkdir(exist_ok=True)
    assert main(["train", "pictures_vqgan", f"data.folder={name}", "--out", "run", "--device", "cpu"]) == 1
    assert capsys.readouterr().err.startswith(f"error: {name} holds no pictures")


def test_one_picture_is_enough_to_start(tmp_path, caplog):
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.fromarray(render_scene(0, 0, SCENE_CLASSES.index("alpine") + 48).image).save(folder / "one.png")
    arguments = ["train", "pictures_vqgan", f"data.folder={folder}", *SMALL_VQGAN, "--out", str(tmp_path / "run")]
    assert main([*arguments, "--device", "cpu"]) == 0
    assert "too few to hold some out" in caplog.text


def test_without_classes_there_is_an_unconditional_model(pictures, tmp_path):
    runs, folder = tmp_path / "runs", f"data.folder={pictures}"
    tokenizer = runs / "tokenizer" / "model.safetensors"
    assert main(["train", "pictures_vqgan", folder, *SMALL_VQGAN, "--out", str(tokenizer.parent)]) == 0
    stage = f"first_stage={tokenizer}"
    out = str(runs / "plain")
    assert main(["train", "pictures_class", folder, stage, "data.labels=none", *SMALL_CLASS, "--out", out]) == 0
    assert main(["sample", "--transformer", f"{out}/model.safetensors", "--out", str(tmp_path / "out")]) == 0
