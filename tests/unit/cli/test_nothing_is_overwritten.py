"""No command replaces what is there, unless it is told to, and no result has a name that some system cannot have."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from command_line import refusal
from recipes import write_recipe
from taming import load_transformer, load_vqgan
from taming.checkpoints import save_checkpoint
from taming.cli import COMMANDS, main
from taming.models import Transformer
from taming.zoo import find_model

NOISE = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)


def contents(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(NOISE).save(path)
    return path


@pytest.fixture
def sample(small_transformer: Path) -> list[str]:
    return ["sample", "--transformer", str(small_transformer)]


def test_drawing_again_with_other_settings_keeps_the_picture_until_it_may_be_replaced(tmp_path: Path, sample, capsys):
    out = tmp_path / "out"
    arguments = [*sample, "--label", "cat", "--out", str(out)]
    assert main([*arguments, "--temperature", "0"]) == 0
    first = contents(out)
    said = refusal([*arguments, "--temperature", "2", "--batch-size", "2"], capsys)
    assert f"{out / 'cat_0_0.png'} is there already, and nothing is overwritten." in said
    assert "--out" in said and "--overwrite" in said
    assert contents(out) == first
    assert main([*arguments, "--temperature", "2", "--overwrite"]) == 0
    assert contents(out).keys() == first.keys() and contents(out) != first


def test_a_picture_further_on_in_the_batch_is_kept_too(tmp_path: Path, sample, capsys):
    (tmp_path / "cat_0_2.png").write_bytes(b"mine")
    arguments = [*sample, "--label", "cat", "--batch-size", "3", "--out", str(tmp_path)]
    assert "cat_0_2.png is there already" in refusal(arguments, capsys)
    assert [file.name for file in tmp_path.glob("cat*")] == ["cat_0_2.png"]


def test_what_is_there_already_is_told_before_a_model_is_loaded(tmp_path: Path, capsys):
    (tmp_path / "sample_0_0.png").write_bytes(b"mine")
    arguments = ["sample", "--transformer", "missing.ckpt", "--out", str(tmp_path)]
    assert "sample_0_0.png is there already" in refusal(arguments, capsys)


def test_labels_in_any_letters_have_pictures_of_their_own(tmp_path: Path, small_transformer: Path):
    """The first two were both called t_0_0.png."""
    names = ("\u00e9t\u00e9", "\u00f4t\u00f4", "\u9ad8\u5c71")
    trained, _ = load_transformer(small_transformer)
    condition = replace(trained.config.condition, class_names=names)
    transformer = Transformer(replace(trained.config, condition=condition))
    transformer.load_state_dict(trained.state_dict())
    path = small_transformer.with_name("letters.safetensors")
    save_checkpoint(transformer, path, first_stage=small_transformer.with_name("small_first_stage.safetensors"))
    for label in names:
        assert main(["sample", "--transformer", str(path), "--label", label, "--out", str(tmp_path / "out")]) == 0
    assert {file.name for file in (tmp_path / "out").iterdir()} == {f"{name}_0_0.png" for name in names}


@pytest.mark.parametrize("command", ["encode", "reconstruct", "decode"])
def test_a_result_that_is_there_is_kept_until_it_may_be_replaced(
    command: str, tmp_path: Path, photo: Path, small_vqgan: Path, capsys
):
    options, out = ["--vqgan", str(small_vqgan)], tmp_path / "out"
    source = photo
    if command == "decode":
        assert main(["encode", str(photo), *options, "--out", str(tmp_path)]) == 0
        source = tmp_path / "photo.npz"
    ending = ".npz" if command == "encode" else ".png"
    out.mkdir()
    (out / f"photo{ending}").write_bytes(b"mine")
    other = shutil.copy(source, tmp_path / f"other{source.suffix}")
    arguments = [command, str(other), str(source), *options, "--out", str(out)]
    assert f"photo{ending} is there already, and nothing is overwritten" in refusal(arguments, capsys)
    assert contents(out) == {f"photo{ending}": b"mine"}, "no other result either"
    assert main([*arguments, "--overwrite"]) == 0
    assert contents(out).keys() == {f"photo{ending}", f"other{ending}"}
    assert contents(out)[f"photo{ending}"] != b"mine"


def test_not_even_overwrite_replaces_an_input(tmp_path: Path, photo: Path, small_vqgan: Path, capsys):
    arguments = ["reconstruct", str(photo), "--vqgan", str(small_vqgan), "--out", str(tmp_path), "--overwrite"]
    assert "is an input and would be overwritten" in refusal(arguments, capsys)
    arguments = ["convert", str(small_vqgan), "--out", str(small_vqgan), "--overwrite"]
    assert "is the input and would be overwritten" in refusal(arguments, capsys)


def test_numbered_pictures_of_one_file_do_not_replace_those_of_another(
    tmp_path: Path, photo: Path, small_vqgan, capsys
):
    """a_0.png was written for the second grid of a.npz, then for a_0.npz."""
    options = ["--vqgan", str(small_vqgan)]
    assert main(["encode", str(photo), *options, "--out", str(tmp_path)]) == 0
    arrays = dict(np.load(tmp_path / "photo.npz"))
    np.savez(tmp_path / "a_0.npz", **arrays)
    np.savez(
        tmp_path / "a.npz", **{key: np.repeat(value, 2, 0) if value.ndim else value for key, value in arrays.items()}
    )
    arguments = ["decode", str(tmp_path / "a.npz"), str(tmp_path / "a_0.npz"), *options, "--out", str(tmp_path / "out")]
    assert "Several inputs would be written to" in refusal(arguments, capsys)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "stem"), [("10:30.png", "10-30"), ("con.png", "_con"), ("what?.png", "what-"), ("cats..png", "cats")]
)
def test_the_name_of_an_input_is_mended_in_words(
    name: str, stem: str, tmp_path: Path, photo: Path, small_vqgan, caplog
):
    source = tmp_path / "in" / name
    source.parent.mkdir()
    try:
        photo.rename(source)
    except OSError:
        pytest.skip("this system cannot have the name")
    assert main(["encode", str(source), "--vqgan", str(small_vqgan), "--out", str(tmp_path / "out")]) == 0
    assert [file.name for file in (tmp_path / "out").iterdir()] == [f"{stem}.npz"]
    assert f"its result is called '{stem}', which every system can have" in caplog.text


def test_a_conversion_keeps_what_is_there_and_makes_its_folder(tmp_path: Path, small_vqgan: Path, capsys):
    out = tmp_path / "models" / "vqgan.safetensors"
    assert main(["convert", str(small_vqgan), "--out", str(out)]) == 0
    full = out.read_bytes()
    arguments = ["convert", str(small_vqgan), "--dtype", "float16", "--out", str(out)]
    assert "is there already, and nothing is overwritten" in refusal(arguments, capsys)
    assert out.read_bytes() == full
    assert main([*arguments, "--overwrite"]) == 0
    assert len(out.read_bytes()) < len(full)
    assert "is a folder. Give --out the name of a file" in refusal([*arguments[:-1], str(out.parent)], capsys)


NAMES = {
    "con": "'con' is a device on Windows",
    "nul.txt": "'nul.txt' is a device on Windows",
    "a:b": "'a:b' has ':'",
    "...": "'...' has nothing but dots",
    "cats.": "ends with a dot",
    "cats ": "ends with a space",
    "x" * 250: "takes 250 bytes",
}


@pytest.mark.parametrize(("name", "words"), NAMES.items(), ids=lambda value: value[:12])
def test_a_name_that_some_system_cannot_have_is_refused_by_every_command(
    name: str, words: str, tmp_path: Path, photo: Path, small_vqgan: Path, capsys
):
    before = contents(tmp_path)
    folder = str(tmp_path / name / "out")
    model = find_model("ldm_vq_f4").name
    commands = [["sample"], ["encode", str(photo)], ["reconstruct", str(photo)], ["train", "pictures_vqgan"]]
    for arguments in (*(command + ["--out", folder] for command in commands), ["download", model, "--folder", folder]):
        assert words in refusal(arguments, capsys), arguments
    assert words in refusal(["convert", str(small_vqgan), "--out", str(tmp_path / name)], capsys)
    assert contents(tmp_path) == before and not (tmp_path / name).exists()


@pytest.mark.parametrize("command", ["sample", "train", "convert"])
def test_an_empty_out_of_a_variable_that_is_not_set_is_refused(command: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stopped:
        main([command, *([] if command == "sample" else ["x"]), "--out", ""])
    assert stopped.value.code == 2 and "argument --out: it is empty" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="Windows lets few users make links")
def test_a_linked_folder_is_written_where_it_leads(tmp_path: Path, sample):
    (tmp_path / "disk").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path / "disk", target_is_directory=True)
    assert main([*sample, "--out", str(tmp_path / "linked" / "new")]) == 0
    assert [file.name for file in (tmp_path / "disk" / "new").iterdir()] == ["sample_0_0.png"]


def test_training_keeps_a_model_that_is_not_of_its_run(tmp_path: Path, capsys):
    recipe = write_recipe(tmp_path, "vqgan", data={"count": 4, "held_out": 2, "size_px": 16})
    out = tmp_path / "run"
    out.mkdir()
    (out / "model.safetensors").write_bytes(b"mine")
    arguments = ["train", str(recipe), "--out", str(out), "--device", "cpu", "--workers", "1"]
    said = refusal(arguments, capsys)
    assert "model.safetensors is there already" in said and "No state.pt beside it" in said and "--overwrite" in said
    assert contents(out) == {"model.safetensors": b"mine"}
    assert main([*arguments, "--overwrite"]) == 0
    load_vqgan(out / "model.safetensors")
    assert main(arguments) == 0, "a finished run is the owner of its model"


def test_another_file_under_the_name_of_a_download_is_replaced_only_when_told_to(tmp_path: Path, capsys):
    model = find_model("ffhq_transformer")  # which cannot be fetched by a program, so nothing is
    (tmp_path / model.file).write_bytes(b"")
    arguments = ["download", model.name, "--folder", str(tmp_path)]
    assert "say --overwrite to replace it" in refusal(arguments, capsys)
    assert "say --overwrite" not in refusal([*arguments, "--overwrite"], capsys)
    assert (tmp_path / model.file).read_bytes() == b""


def test_every_command_that_writes_has_overwrite_and_says_the_rule(capsys: pytest.CaptureFixture[str]):
    names = {command.__name__.rpartition(".")[2] for command in COMMANDS} - {"inspect"}
    for name in names:
        with pytest.raises(SystemExit):
            main([name, "--help"])
        assert "--overwrite replace files that are there already" in " ".join(capsys.readouterr().out.split()), name
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "No command replaces a file that is there already" in " ".join(capsys.readouterr().out.split())
