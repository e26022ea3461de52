"""Names of what the nodes write: every system can have them, links are followed, and nothing is written over."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from devtools.live_server import LiveServer, Run
from prompts import VQGAN, node
from training_prompts import fresh, tokenizer

NAMES = [
    "",
    " ",
    ".",
    "..",
    "...",
    "con",
    "nul.txt",
    "a:b",
    "cats.",
    "cats ",
    "a\nb",
    "x" * 250,
    "a/con/b",
    "\ud83d",
    "a" * 900,
]
not_windows = pytest.mark.skipif(sys.platform == "win32", reason="Windows lets few users make links")


def save(server: LiveServer, prefix: str) -> Run:
    load = {"load": node("TamingLoadVQGAN", vqgan_name=VQGAN)}
    return server.watch(load | {"save": node("TamingSaveVQGAN", vqgan=["load", 0], filename_prefix=prefix)})


def files(folder: Path) -> set[str]:
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*")}


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[:20])
def test_a_name_that_some_system_cannot_have_is_refused_by_the_node(server: LiveServer, name: str):
    before = files(server.base / "models"), files(server.base / "output")
    error = save(server, name).error
    assert error.startswith("filename_prefix: ") and error.count("\n") <= 1
    assert server.watch(tokenizer(name)).error.startswith("run: ")
    assert (files(server.base / "models"), files(server.base / "output")) == before


def test_a_whole_transformer_is_refused_likewise(server: LiveServer):
    load = {"load": node("TamingLoadTransformer", transformer_name="embedded/scenes_class_transformer.safetensors")}
    saving = node("TamingSaveTransformer", transformer=["load", 0], filename_prefix="a/nul")
    assert server.watch(load | {"save": saving}).error.startswith("filename_prefix: 'nul' is a device on Windows")


def test_names_in_any_letters_and_dates_are_filled_in_and_numbered(server: LiveServer):
    prompt, name = {}, "%year%/\u00e9t\u00e9 %month%"
    for number, config in enumerate([{}, {"config_name": "auto"}]):  # the host runs the same node once
        prompt[f"load {number}"] = node("TamingLoadVQGAN", vqgan_name=VQGAN, **config)
        prompt[f"save {number}"] = node("TamingSaveVQGAN", vqgan=[f"load {number}", 0], filename_prefix=name)
    run = server.watch(prompt)
    assert run.ending == "execution_success", run.error
    saved = [Path(run.history["outputs"][f"save {number}"]["text"][0].removeprefix("Saved ")) for number in (0, 1)]
    assert sorted(path.name.partition("_")[2] for path in saved) == ["00001_.safetensors", "00002_.safetensors"]
    assert all(path.is_file() and "%" not in str(path) and path.parent.name.isdecimal() for path in saved)


@not_windows
def test_a_linked_folder_is_written_where_it_leads_and_a_broken_link_is_named(server: LiveServer, tmp_path: Path):
    """A linked folder was said not to be below the folder that it is in; core raises a bare Exception there."""
    models, output = server.base / "models" / "vqgan", server.base / "output"
    for folder in (models, output):
        folder.mkdir(parents=True, exist_ok=True)
        (tmp_path / folder.name).mkdir()
        (folder / "linked").symlink_to(tmp_path / folder.name, target_is_directory=True)
        (folder / "broken").symlink_to(tmp_path / "unplugged", target_is_directory=True)
    try:
        saved, trained = save(server, "linked/cats"), server.watch(tokenizer("linked/run"))
        assert (saved.ending, trained.ending) == ("execution_success",) * 2, saved.error + trained.error
        assert files(tmp_path / "vqgan") == {"cats_00001_.safetensors"}
        assert "run/model.safetensors" in files(tmp_path / "output")
        for error in (save(server, "broken/cats").error, server.watch(tokenizer("broken/run")).error):
            assert "broken is a link to" in error and "which is not there" in error
    finally:
        for folder in (models, output):
            (folder / "linked").unlink()
            (folder / "broken").unlink()


def test_a_model_in_the_folder_that_is_not_of_the_run_is_kept(server: LiveServer):
    name = fresh()
    model = server.base / "output" / name / "model.safetensors"
    model.parent.mkdir(parents=True)
    model.write_bytes(b"mine")
    error = server.watch(tokenizer(name)).error
    assert error.startswith("run: ") and "is there already, and nothing is overwritten" in error
    assert model.read_bytes() == b"mine"
