"""Runs in the graph that are continued, changed, damaged or refused, in one server."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from devtools.live_server import LiveServer
from prompts import Prompt
from training_prompts import class_model, fresh, recipe, tokenizer
from workflow_models import write_pictures

MORE = recipe(steps=8)


def folder_of(server: LiveServer, run: str) -> Path:
    return server.base / "output" / run


def test_a_finished_run_goes_on_longer_and_then_gives_its_model_at_once(server: LiveServer):
    """The most asked-for continuation was refused with two dictionaries of 19 fields."""
    name = fresh()
    server.watch(tokenizer(name))
    model = (folder_of(server, name) / "model.safetensors").read_bytes()
    longer = server.watch(tokenizer(name) | {"recipe": MORE})
    assert longer.ending == "execution_success", longer.error
    assert longer.progress("train")[0] == (5, 8) and longer.progress("train")[-1] == (8, 8)
    assert (folder_of(server, name) / "model.safetensors").read_bytes() != model
    assert "It was a run of 4 steps and is one of 8 now" in server.log_tail(60)
    assert server.watch(tokenizer(name) | {"recipe": MORE}).executed == []


def test_a_finished_transformer_goes_on_longer_in_a_folder_of_another_name(server: LiveServer):
    """As where ComfyUI was moved: the paths in its state lead nowhere."""
    first, old, new = fresh(), fresh(), fresh()
    server.watch({**tokenizer(first), **class_model(["train", 0], old)})
    folder_of(server, old).rename(folder_of(server, new))
    prompt = {**tokenizer(first), **class_model(["train", 0], new)}
    longer = server.watch(prompt | {"class recipe": recipe("pictures_class_small", steps=6)})
    assert longer.ending == "execution_success", longer.error
    assert longer.progress("transformer")[0] == (5, 6)


def test_a_run_goes_on_when_its_pictures_were_moved(server: LiveServer):
    name = fresh()
    old = write_pictures(server.base / "input" / "old place", count=3)
    server.watch(tokenizer(name) | {"recipe": recipe(folder="old place")})
    old.rename(old.with_name("new place"))
    run = server.watch(tokenizer(name) | {"recipe": recipe(folder="new place", steps=6)})
    assert run.ending == "execution_success", run.error
    assert run.progress("train")[0] == (5, 6)
    write_pictures(server.base / "input" / "others", count=2)
    error = server.watch(tokenizer(name) | {"recipe": recipe(folder="others", steps=6)}).error
    assert "data.folder: " in error and "the pictures are others" in error, "not the old model for other pictures"


def test_what_differs_is_named_with_a_way_on(server: LiveServer):
    name = fresh()
    server.watch(tokenizer(name))
    error = server.watch(tokenizer(name) | {"recipe": recipe(learning_rate=0.001)}).error
    assert "optimizer.lr: 0.00025 -> 0.001" in error and "{" not in error
    assert f"init_from={(folder_of(server, name) / 'model.safetensors').as_posix()}" in error


@pytest.mark.parametrize("content", [b"", bytes(1000), b"PK\3\4 cut", b"<html>"], ids=["empty", "zeros", "cut", "page"])
def test_a_damaged_state_is_told_in_words(server: LiveServer, content: bytes):
    name = fresh()
    server.watch(tokenizer(name))
    state = folder_of(server, name) / "state.pt"
    state.write_bytes(content)
    error = server.watch(tokenizer(name) | {"recipe": MORE}).error
    assert error.startswith(f"The state {state} ") and "Rename or delete it" in error
    assert "weights_only" not in error
    for file in (state, state.with_name("model.safetensors")):
        file.rename(file.with_suffix(".bad"))
    anew = server.watch(tokenizer(name) | {"recipe": MORE})
    assert anew.progress("train")[0] == (1, 8), anew.error


def refused(name: str) -> dict[str, Prompt]:
    """Prompts that are refused at different moments, each with the run `name`."""
    trained, broken = tokenizer(fresh()), recipe("pictures_class_small", "model.n_head=3")
    other = tokenizer(name, vqgan=["train", 0])
    return {
        "an unknown part": tokenizer(name) | {"recipe": recipe("pictures_vqgan_small", "model.codes=4")},
        "numbers that do not fit": tokenizer(name) | {"recipe": recipe(size_px=34)},
        "the other kind": tokenizer(name) | {"recipe": recipe("pictures_class_small")},
        "no pictures": tokenizer(name) | {"recipe": recipe(folder="")},
        "a transformer": {**trained, **class_model(["train", 0], name), "class recipe": broken},
        "another architecture": {
            **trained,
            "other": other["train"],
            "plot other": {**other["plot"], "inputs": {**other["plot"]["inputs"], "loss": ["other", 1]}},
            "wide": recipe("pictures_vqgan_small", "model.n_embed=32"),
        },
    }


@pytest.mark.parametrize("kind", refused(""))
def test_a_refused_recipe_leaves_no_folder(server: LiveServer, kind: str):
    name = fresh()
    prompt = refused(name)[kind]
    if "other" in prompt:
        prompt["other"]["inputs"]["recipe"] = ["wide", 0]
    run = server.watch(prompt)
    assert run.ending == "execution_error"
    assert not folder_of(server, name).exists(), run.error


def test_a_model_connected_to_a_run_that_began_without_is_refused_and_leaves_nothing(server: LiveServer):
    first, name = fresh(), fresh()
    server.watch(tokenizer(name))
    before = sorted(path.name for path in folder_of(server, name).iterdir())
    second = tokenizer(name, vqgan=["train", 0])
    prompt = {**tokenizer(first), "second": second["train"]}
    prompt["plot second"] = {**second["plot"], "inputs": {**second["plot"]["inputs"], "loss": ["second", 1]}}
    error = server.watch(prompt).error
    assert error.startswith(f"vqgan: the run in {folder_of(server, name)} was begun without a connected model")
    assert sorted(path.name for path in folder_of(server, name).iterdir()) == before


def test_a_run_whose_place_is_taken_is_refused_before_it_trains(server: LiveServer):
    place = folder_of(server, "taken")
    place.write_text("a file")
    run = server.watch(tokenizer("taken/run"))
    os.unlink(place)
    assert run.progress("train") == []
    assert run.error.startswith(f"run: {place} is a file, not a folder. Choose another name")
