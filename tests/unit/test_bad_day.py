"""A user's bad day: broken files, full disks, folders that vanish; it is told in words, and nothing is lost."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from full_disk import full_disk
from ordinary_user import an_ordinary_user, public_folder
from photos import encoded, photo, save, told
from recipes import SIZE_PX, write_recipe
from short_runs import differences, make_task, read_state
from taming.checkpoints import load_transformer, load_vqgan
from taming.cli import main
from taming.data import PictureCache, open_pictures
from taming.errors import TamingError
from taming.training.datasets import open_data
from taming.training.distributed import find_processes
from taming.training.loop import Run, train
from taming.training.recipe import DataSettings, read_recipe

# Pictures


def test_ten_thousand_pictures_with_three_percent_broken_are_trained_on_and_the_broken_ones_named(tmp_path, caplog):
    folder, rng = tmp_path / "pictures", np.random.default_rng(0)
    broken = set(rng.choice(10_000, 300, replace=False).tolist())
    folder.mkdir()
    whole = [encoded(photo(value, (33, 32)), "png") for value in range(1000)]
    for number in range(10_000):
        content = whole[number % 1000]
        if number in broken:  # empty, none at all, cut in the middle of its pixels
            content = (b"", b"not a picture at all", content[: len(content) - 30])[number % 3]
        (folder / f"{number:04}.png").write_bytes(content)
    data = open_data(DataSettings(folder=str(folder), size_px=32), tmp_path / "cache")
    cut = sum(number % 3 == 2 for number in broken)
    assert len(data.training) + len(data.held_out) == 10_000 - 300 + cut  # cut ones show only when they are decoded
    lines = (tmp_path / "cache" / "left_out.txt").read_text().splitlines()
    assert {int(line[:4]) for line in lines} == broken and all(".png: " in line for line in lines)
    assert f"{10_000 - 300 + cut} pictures, {300 - cut} things amiss" in caplog.text
    values = [told(data.training[index].image) for index in range(0, len(data.training), 97)]
    assert len(set(values)) > 80


def write_every_kind(folder: Path) -> None:
    folder.mkdir()
    picture = photo(248, (60, 44))
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.quantize(16).save(folder / "palette.png")
    picture.convert("CMYK").save(folder / "inks.jpg", quality=95)
    Image.fromarray(np.full((50, 70), 30_000, np.uint16)).save(folder / "sixteen.png")
    picture.save(folder / "turned.jpg", exif=exif, quality=95)
    picture.convert("RGBA").save(folder / "alpha.webp", lossless=True)
    picture.convert("LA").save(folder / "gray.png")
    picture.convert("1").save(folder / "bits.tif")
    picture.save(folder / "moving.gif", save_all=True, append_images=[photo(1, (60, 44))])
    photo(5, (400, 40)).save(folder / "wide.bmp")


def test_pictures_of_every_kind_and_size_train_one_model(tmp_path):
    write_every_kind(tmp_path / "in")
    recipe = read_recipe(
        str(write_recipe(tmp_path, "vqgan", data={"folder": str(tmp_path / "in"), "size_px": SIZE_PX, "min_px": 16}))
    )
    data = open_data(recipe.data, tmp_path / "cache")
    assert len(data.training) == 9 and not (tmp_path / "cache" / "left_out.txt").exists()
    assert {min(data.training[index].image.shape[:2]) for index in range(9)} == {SIZE_PX}
    figures = train(make_task(recipe, data), recipe, tmp_path / "run")
    assert np.isfinite(list(figures.values())).all()


def test_a_folder_that_vanishes_while_it_is_read_is_told_and_leaves_no_half_of_a_cache(tmp_path, monkeypatch):
    from taming.data import images as module

    save(tmp_path / "in", [f"{number}.png" for number in range(100)])
    decode, seen = module.decode_picture, []

    def unplugged(source):
        seen.append(source)
        if len(seen) == 30:
            shutil.rmtree(tmp_path / "in")
        return decode(source)

    monkeypatch.setattr(module, "decode_picture", unplugged)
    with pytest.raises(TamingError, match=r"None of the 100 pictures can be read any more.*Is the drive still there\?"):
        open_pictures(tmp_path / "in", cache=PictureCache(tmp_path / "cache", 32))
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_folder_that_vanishes_after_it_was_read_does_not_matter(tmp_path):
    save(tmp_path / "in", [f"{number}.png" for number in range(20)])
    data = {"folder": str(tmp_path / "in"), "size_px": SIZE_PX}
    recipe = read_recipe(str(write_recipe(tmp_path, "vqgan", data=data)))
    opened = open_data(recipe.data, tmp_path / "cache")

    def unplug(step: int, figures: dict[str, float]) -> None:
        if step == 1:
            shutil.rmtree(tmp_path / "in")

    train(make_task(recipe, opened), recipe, tmp_path / "run", unplug)
    assert read_state(tmp_path / "run")["step"] == recipe.num_steps


def test_a_picture_cache_that_fills_the_disk_is_told_and_gives_the_space_back(tmp_path):
    save(tmp_path / "in", [f"{number}.png" for number in range(20)])
    cache = PictureCache(tmp_path / "cache", 32)
    with full_disk(30_000), pytest.raises(TamingError, match=r"cannot be stored in .*cache.*Free some space"):
        open_pictures(tmp_path / "in", cache=cache)
    assert list((tmp_path / "cache").iterdir()) == []
    assert [told(sample.image) for sample in open_pictures(tmp_path / "in", cache=cache)] == list(range(20))


@pytest.mark.parametrize(
    ("make", "labels", "words"),
    [
        (lambda folder: save(folder, ["a.png", "b.png"]), "folders", "each class into a folder of its own"),
        (lambda folder: save(folder, ["a.png"]), "{folder}/labels.csv", "labels.csv cannot be read.*file,label"),
        (
            lambda folder: (save(folder, ["a.png"]), (folder / "labels.csv").write_text("file,label\nb.png,cat\n")),
            "{folder}/labels.csv",
            "a.png: it has no label",
        ),
    ],
    ids=["no folders", "no table", "a table of other pictures"],
)
def test_labels_that_are_missing_are_asked_for(make, labels, words, tmp_path, capsys):
    folder = tmp_path / "in"
    make(folder)
    options = [f"data.folder={folder}", f"data.labels={labels.format(folder=folder)}", "first_stage=none.safetensors"]
    assert main(["train", "pictures_class", *options, "--out", str(tmp_path / "run"), "--device", "cpu"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and re.search(words, error)


# Saving


def short_recipe(folder: Path, name: str = "vqgan", **changes: object):
    return read_recipe(str(write_recipe(folder, name, **changes)))


def test_a_state_that_fills_the_disk_is_told_and_the_one_before_it_is_kept(tmp_path, scenes):
    recipe = short_recipe(tmp_path)
    run = Run(make_task(recipe, scenes), recipe, tmp_path, find_processes("cpu"))
    run.done = 2
    run._save()
    before = (tmp_path / "state.pt").read_bytes()
    for size in (100, len(before) // 2, len(before) - 10):
        with full_disk(size), pytest.raises(OSError, match=r"cannot be saved in .*Free some space.*is kept"):
            run._save()
        assert (tmp_path / "state.pt").read_bytes() == before and list(tmp_path.glob("*.partial")) == []


def test_a_run_that_filled_the_disk_goes_on_when_there_is_space(tmp_path, scenes):
    recipe = short_recipe(tmp_path, save_minutes=0)
    train(make_task(recipe, scenes), recipe, tmp_path / "whole")
    size = (tmp_path / "whole" / "state.pt").stat().st_size

    def fill(step: int, figures: dict[str, float]) -> None:
        if step == 2:
            raise OSError("the disk fills up here")

    with pytest.raises(OSError, match="fills up"):
        train(make_task(recipe, scenes), recipe, tmp_path / "parts", fill)
    with full_disk(size // 2), pytest.raises(OSError, match="Free some space"):
        train(make_task(recipe, scenes), recipe, tmp_path / "parts")
    assert read_state(tmp_path / "parts")["step"] == 3
    train(make_task(recipe, scenes), recipe, tmp_path / "parts")
    assert differences(read_state(tmp_path / "whole"), read_state(tmp_path / "parts")) == []


@pytest.mark.parametrize("name", ["vqgan", "transformer"])
def test_a_run_whose_export_failed_exports_when_it_is_run_again(name, run_folder, scenes, monkeypatch):
    recipe, out = short_recipe(run_folder, name), run_folder / "run"
    task = make_task(recipe, scenes)
    export = task.export

    def on_a_full_disk(path: Path) -> None:
        with full_disk(5_000):
            export(path)

    monkeypatch.setattr(task, "export", on_a_full_disk)
    with pytest.raises((TamingError, OSError), match="File too large"):
        train(task, recipe, out)
    state = read_state(out)
    left = {path.name for path in out.iterdir()} - {"state.pt", "log.jsonl", "tokenizer.safetensors"}
    assert left == set(), "no half of a model under any name"
    steps = []
    train(make_task(recipe, scenes), recipe, out, lambda step, figures: steps.append(step))
    assert steps == [] and differences(read_state(out), state) == []
    (load_vqgan if name == "vqgan" else load_transformer)(out / "model.safetensors")


def test_an_export_that_fails_leaves_the_model_of_an_earlier_one(tmp_path, scenes):
    recipe = short_recipe(tmp_path)
    task = make_task(recipe, scenes)
    task.export(tmp_path / "model.safetensors")
    before = (tmp_path / "model.safetensors").read_bytes()
    with full_disk(5_000), pytest.raises(TamingError, match=r"model.safetensors cannot be written.*Free some space"):
        task.export(tmp_path / "model.safetensors")
    assert (tmp_path / "model.safetensors").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"model.safetensors", "recipe.yaml"}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other permissions")
@pytest.mark.parametrize("kind", ["no permission", "a file"])
def test_a_folder_that_cannot_be_written_is_an_error_in_words(kind, capsys):
    with public_folder() as folder:
        (folder / "closed").mkdir()
        recipe = write_recipe(folder, "vqgan", data={"count": 4, "held_out": 2, "size_px": SIZE_PX})
        out = folder / "closed" / "run"
        if kind == "a file":
            out = folder / "run"
            out.write_text("already something else")
        for path, mode in ((folder, 0o777), (recipe, 0o644), (folder / "closed", 0o555)):
            os.chmod(path, mode)
        with an_ordinary_user():
            assert main(["train", str(recipe), "--out", str(out), "--device", "cpu", "--workers", "1"]) == 1
        error = capsys.readouterr().err
        assert error.startswith("error: ") and str(out.parent if kind == "no permission" else out) in error
