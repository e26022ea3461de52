"""What a run learns from may be moved while it is stopped: it goes on with the same, and not with something else."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from photos import photo
from recipes import GPT, SIZE_PX, VQGAN, write_recipe
from short_runs import make_task, read_state
from taming.checkpoints import save_checkpoint
from taming.configs import config_from_dict
from taming.data import PictureFolder
from taming.data import image_contents as picture_contents
from taming.errors import ConfigError
from taming.models import VQModel, VQModelConfig
from taming.training.datasets import open_data
from taming.training.loop import train
from taming.training.recipe import Recipe, read_recipe
from taming.training.tasks.transformer import TransformerTask

NAMES = ("cats/1.bmp", "cats/2.bmp", "dogs/1.bmp", "dogs/2.bmp")
CLASS = {"data": {"labels": "folders"}, "condition": {"kind": "class"}}


def write_pictures(folder: Path) -> None:
    """Four pictures of one size in bytes, a caption, their maps, boxes and labels, a list and a shard of them."""
    for number, name in enumerate(NAMES):
        for part, image in (("pictures", photo(number)), ("maps", Image.new("L", (48, 40), number))):
            file = folder / part / name
            file.parent.mkdir(parents=True, exist_ok=True)
            image.save(file if part == "pictures" else file.with_suffix(".png"))
    (folder / "pictures" / "cats" / "1.txt").write_text("a cat")
    (folder / "labels.csv").write_text("file,label\n" + "".join(f"{name},{name[:4]}\n" for name in NAMES))
    (folder / "list.txt").write_text("".join(f"pictures/{name}\n" for name in NAMES))
    images = [{"id": number, "file_name": name, "width": 48, "height": 40} for number, name in enumerate(NAMES)]
    boxes = [{"image_id": 0, "category_id": 1, "bbox": [0, 0, 9, 9]}]
    document = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "cat"}]}
    (folder / "boxes.json").write_text(json.dumps(document))
    with tarfile.open(folder / "shard.tar", "w") as tar:
        for name in NAMES:
            tar.add(folder / "pictures" / name, name)


SOURCES: dict[str, dict[str, str]] = {
    "a folder": {"folder": "pictures"},
    "labels by folders": {"folder": "pictures", "labels": "folders"},
    "a table of labels": {"folder": "pictures", "labels": "labels.csv"},
    "a list": {"folder": "list.txt"},
    "a shard": {"folder": "shard.tar"},
    "maps": {"folder": "pictures", "maps": "maps"},
    "boxes": {"folder": "pictures", "boxes": "boxes.json"},
}


def recipe_of(folder: Path, pictures: Path, source: dict[str, str], steps: int = 2, **changes: object) -> Recipe:
    paths = {key: value if value == "folders" else str(pictures / value) for key, value in source.items()}
    data = {"size_px": SIZE_PX, "min_px": 16, **paths}
    phases = [{"steps": steps, "batch_size": 2}]
    return read_recipe(str(write_recipe(folder, "vqgan", data=data, phases=phases, **changes)))


def run(recipe: Recipe, out: Path) -> list[int]:
    """Train; the steps that were taken."""
    steps: list[int] = []
    data = open_data(recipe.data, out.parent / "cache")
    train(make_task(recipe, data), recipe, out, lambda step, figures: steps.append(step))
    return steps


def move(old: Path, new: Path) -> None:
    shutil.move(old, new)


def copy(old: Path, new: Path) -> None:
    """As unpacked again: with other times."""
    shutil.copytree(old, new, copy_function=shutil.copyfile)
    for file in new.rglob("*"):
        os.utime(file, ns=(10**18, 10**18))


@pytest.mark.parametrize("place", [move, copy])
@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_a_run_goes_on_when_its_pictures_lie_elsewhere_and_are_the_same(place, source, tmp_path, caplog):
    """It was refused: one field of its recipe, the path, was another."""
    write_pictures(tmp_path / "old")
    run(recipe_of(tmp_path, tmp_path / "old", source), tmp_path / "run")
    place(tmp_path / "old", tmp_path / "new place")
    with caplog.at_level(logging.INFO):
        assert run(recipe_of(tmp_path, tmp_path / "new place", source, steps=4), tmp_path / "run") == [2, 3]
    assert "data.folder: " in caplog.text and "What is there is the same, so the run goes on." in caplog.text
    assert "have changed" not in caplog.text


def other_pixel(folder: Path) -> None:
    """Of the same size in bytes."""
    file = folder / "pictures" / "dogs" / "2.bmp"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(bytes(data))


def other_order(folder: Path) -> None:
    first, last = (folder / "pictures" / NAMES[at] for at in (0, -1))
    first.rename(folder / "aside")
    last.rename(first)
    (folder / "aside").rename(last)


CHANGES: dict[str, tuple[dict[str, str], Callable[[Path], object]]] = {
    "a picture less": (SOURCES["a folder"], lambda folder: (folder / "pictures" / NAMES[1]).unlink()),
    "a picture more": (SOURCES["a folder"], lambda folder: photo(9).save(folder / "pictures" / "cats" / "3.bmp")),
    "another pixel": (SOURCES["a folder"], other_pixel),
    "another order": (SOURCES["a folder"], other_order),
    "another caption": (
        SOURCES["a folder"],
        lambda folder: (folder / "pictures" / "cats" / "1.txt").write_text("a dog"),
    ),
    "another class": (
        SOURCES["labels by folders"],
        lambda folder: (folder / "pictures" / "dogs").rename(folder / "pictures" / "hens"),
    ),
    "another label": (
        SOURCES["a table of labels"],
        lambda folder: (folder / "labels.csv").write_text("file,label\n" + "".join(f"{name},a\n" for name in NAMES)),
    ),
    "another map": (
        SOURCES["maps"],
        lambda folder: Image.new("L", (48, 40), 77).save(folder / "maps" / "cats" / "1.png"),
    ),
    "another box": (
        SOURCES["boxes"],
        lambda folder: (folder / "boxes.json").write_text((folder / "boxes.json").read_text().replace("9, 9", "8, 8")),
    ),
}


@pytest.mark.parametrize(("source", "change"), CHANGES.values(), ids=CHANGES)
def test_a_run_does_not_go_on_with_other_pictures_elsewhere(source, change, tmp_path):
    write_pictures(tmp_path / "old")
    run(recipe_of(tmp_path, tmp_path / "old", source), tmp_path / "run")
    before = (tmp_path / "run" / "state.pt").read_bytes()
    move(tmp_path / "old", tmp_path / "new")
    change(tmp_path / "new")
    with pytest.raises(ConfigError, match=r"another recipe: data\.folder: .*old.* -> .*new.*the pictures are others"):
        run(recipe_of(tmp_path, tmp_path / "new", source, steps=4), tmp_path / "run")
    assert (tmp_path / "run" / "state.pt").read_bytes() == before


@pytest.mark.parametrize("name", ["a picture more", "another pixel", "another map"])
def test_pictures_that_change_in_their_place_are_trained_on_with_a_warning(name, tmp_path, caplog):
    source, change = CHANGES[name]
    write_pictures(tmp_path / "old")
    run(recipe_of(tmp_path, tmp_path / "old", source), tmp_path / "run")
    change(tmp_path / "old")
    assert run(recipe_of(tmp_path, tmp_path / "old", source, steps=4), tmp_path / "run") == [2, 3]
    assert caplog.text.count("The pictures have changed since the run began") == 1
    caplog.clear()
    assert run(recipe_of(tmp_path, tmp_path / "old", source, steps=5), tmp_path / "run") == [4]
    assert "have changed" not in caplog.text


def test_pictures_that_were_only_touched_are_the_same(tmp_path, caplog):
    write_pictures(tmp_path / "old")
    run(recipe_of(tmp_path, tmp_path / "old", SOURCES["a folder"]), tmp_path / "run")
    os.utime(tmp_path / "old" / "pictures" / NAMES[0])
    assert run(recipe_of(tmp_path, tmp_path / "old", SOURCES["a folder"], steps=3), tmp_path / "run") == [2]
    assert "have changed" not in caplog.text


def test_of_large_sets_only_the_ends_of_each_file_are_read(tmp_path, monkeypatch):
    """Reading 20 GB to start a run would take longer than many a run."""
    monkeypatch.setattr(picture_contents, "_WHOLE_BYTES", 0)
    monkeypatch.setattr(picture_contents, "_END_BYTES", 100)
    write_pictures(tmp_path)
    before = PictureFolder(tmp_path / "pictures").contents_hash()
    other_pixel(tmp_path)
    assert PictureFolder(tmp_path / "pictures").contents_hash() == before
    photo(9).save(tmp_path / "pictures" / "dogs" / "2.bmp")
    assert PictureFolder(tmp_path / "pictures").contents_hash() != before


def test_reading_what_is_in_the_pictures_can_be_canceled(tmp_path):
    write_pictures(tmp_path)

    def cancel() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        PictureFolder(tmp_path / "pictures").contents_hash(cancel)


# Models


def class_recipe(folder: Path, pictures: Path, tokenizer: Path, steps: int, **changes: object) -> Recipe:
    data = {"size_px": SIZE_PX, "min_px": 16, "folder": str(pictures), "labels": "folders", "flip": False}
    phases = [{"steps": steps, "batch_size": 2}]
    model = {**GPT, "block_size": 64}
    file = write_recipe(folder, "transformer", data=data, phases=phases, model=model, **changes)
    return read_recipe(str(file), [f"first_stage={tokenizer}"])


def run_class_model(recipe: Recipe, out: Path) -> list[int]:
    steps: list[int] = []
    data, cache = open_data(recipe.data, out.parent / "cache"), out.parent / "cache"
    task = TransformerTask(recipe, data, cache, torch.device("cpu"))
    train(task, recipe, out, lambda step, figures: steps.append(step))
    return steps


def write_tokenizer(path: Path, seed: int) -> None:
    torch.manual_seed(seed)
    save_checkpoint(VQModel(config_from_dict(VQModelConfig, VQGAN, "model")), path)


def test_a_transformer_goes_on_when_its_tokenizer_and_its_pictures_were_moved(run_folder):
    write_pictures(run_folder / "old")
    tokenizer = run_folder / "tokenizer.safetensors"
    run_class_model(class_recipe(run_folder, run_folder / "old" / "pictures", tokenizer, 2), run_folder / "run")
    move(run_folder / "old", run_folder / "new")
    tokenizer.rename(run_folder / "moved.safetensors")
    recipe = class_recipe(run_folder, run_folder / "new" / "pictures", run_folder / "moved.safetensors", 3)
    assert run_class_model(recipe, run_folder / "run") == [2]


@pytest.mark.parametrize("name", ["tokenizer.safetensors", "elsewhere.safetensors"])
def test_a_transformer_does_not_go_on_with_another_tokenizer_in_the_same_place_or_elsewhere(name, run_folder):
    """In the same place it went on in silence, with tokens that mean other things."""
    write_pictures(run_folder / "old")
    pictures = run_folder / "old" / "pictures"
    recipe = class_recipe(run_folder, pictures, run_folder / "tokenizer.safetensors", 2)
    run_class_model(recipe, run_folder / "run")
    write_tokenizer(run_folder / name, seed=9)
    with pytest.raises(ConfigError, match=rf"another recipe: first_stage: .*{re.escape(name)}.*holds other weights"):
        run_class_model(class_recipe(run_folder, pictures, run_folder / name, 3), run_folder / "run")


def test_a_model_that_a_run_began_with_may_be_moved_too(tmp_path, scenes):
    write_tokenizer(tmp_path / "begin.safetensors", seed=0)

    def recipe(name: str, steps: int) -> Recipe:
        phases = [{"steps": steps, "batch_size": 2}]
        return read_recipe(str(write_recipe(tmp_path, "vqgan", phases=phases, init_from=str(tmp_path / name))))

    train(make_task(recipe("begin.safetensors", 2), scenes), recipe("begin.safetensors", 2), tmp_path / "run")
    (tmp_path / "begin.safetensors").rename(tmp_path / "moved.safetensors")
    moved = recipe("moved.safetensors", 3)
    train(make_task(moved, scenes), moved, tmp_path / "run")
    assert read_state(tmp_path / "run")["step"] == 3
    write_tokenizer(tmp_path / "other.safetensors", seed=1)
    other = recipe("other.safetensors", 4)
    with pytest.raises(ConfigError, match="init_from: .* -> .*holds other weights"):
        train(make_task(other, scenes), other, tmp_path / "run")


def test_a_class_that_was_added_is_named(run_folder):
    """Its classes had other numbers from then on, in silence."""
    write_pictures(run_folder / "old")
    pictures, tokenizer = run_folder / "old" / "pictures", run_folder / "tokenizer.safetensors"
    run_class_model(class_recipe(run_folder, pictures, tokenizer, 2), run_folder / "run")
    (pictures / "birds").mkdir()
    photo(7).save(pictures / "birds" / "1.bmp")
    with pytest.raises(ConfigError, match=r"condition\.class_names: \['cats', 'dogs'\] -> \['birds', 'cats', 'dogs'\]"):
        run_class_model(class_recipe(run_folder, pictures, tokenizer, 3), run_folder / "run")


# States of earlier versions


def forget_sources(out: Path) -> None:
    state = read_state(out)
    for name in ("sources", "config", "has_older_model"):
        del state[name]
    torch.save(state, out / "state.pt")


def test_a_run_of_an_earlier_version_goes_on_where_its_pictures_are(tmp_path, caplog):
    write_pictures(tmp_path / "old")
    run(recipe_of(tmp_path, tmp_path / "old", SOURCES["a folder"]), tmp_path / "run")
    forget_sources(tmp_path / "run")
    assert run(recipe_of(tmp_path, tmp_path / "old", SOURCES["a folder"], steps=3), tmp_path / "run") == [2]
    assert "have changed" not in caplog.text
    move(tmp_path / "old", tmp_path / "new")
    assert run(recipe_of(tmp_path, tmp_path / "new", SOURCES["a folder"], steps=4), tmp_path / "run") == [3]


def test_of_a_run_of_an_earlier_version_moved_pictures_cannot_be_compared(tmp_path):
    write_pictures(tmp_path / "old")
    run(recipe_of(tmp_path, tmp_path / "old", SOURCES["a folder"]), tmp_path / "run")
    forget_sources(tmp_path / "run")
    move(tmp_path / "old", tmp_path / "new")
    with pytest.raises(ConfigError, match="data.folder: .* where the pictures cannot be compared: the run began with"):
        run(recipe_of(tmp_path, tmp_path / "new", SOURCES["a folder"], steps=3), tmp_path / "run")
