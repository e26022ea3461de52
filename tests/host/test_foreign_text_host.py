"""Consoles that cannot show a text: every node is given some, and the queue goes on.

The host writes to its console, and to a log file, what failed and why. Where a character cannot be written there, the
thread that runs prompts ended, and every later prompt waited until a restart.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import condition_models
from devtools.host import Host, make_base
from devtools.live_server import LiveServer, Run
from foreign_text import FOREIGN, HALF, ZERO, any_text
from prompts import LOAD, VQGAN, Prompt, drawing, node, reconstruction
from taming import errors
from text_prompts import TEXT_INPUTS, with_text
from training_prompts import fresh, recipe
from word_models import write_word_model
from workflow_models import PICTURES, write_pictures

CAT = "\uace0\uc591\uc774"
CONSOLES = ("ascii", "cp1252", "utf-8")
FOREIGN_PICTURES = f"pictures {FOREIGN}"
WORDED = [name for name in dir(errors) if name.endswith("Error")]
PLACES = [".".join(place) for place in TEXT_INPUTS]
FILES = [
    ("TamingLoadVQGAN", "vqgan_name", f"models/vqgan/{FOREIGN}.safetensors"),
    ("TamingLoadVQGAN", "vqgan_name", f"models/vqgan/{FOREIGN}.ckpt"),
    ("TamingLoadVQGAN", "config_name", f"models/vqgan/{FOREIGN}.yaml"),
    ("TamingLoadTransformer", "transformer_name", f"models/taming_transformers/{FOREIGN}.safetensors"),
    ("TamingLoadTransformer", "config_name", f"models/taming_transformers/{FOREIGN}.yaml"),
    ("TamingRecipe", "preset", f"models/taming_recipes/{FOREIGN}.yaml"),
]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no names that are not UTF-8")


def write_files(base: Path) -> None:
    """Models that take text, and files and pictures with names that are not UTF-8."""
    transformers = base / "models" / "taming_transformers"
    condition_models.write_models(transformers)
    write_word_model(transformers)
    write_pictures(base / "input" / PICTURES)
    pictures = write_pictures(base / "input" / FOREIGN_PICTURES)
    os.rename(pictures / "beach", pictures / FOREIGN)
    os.rename(pictures / FOREIGN / "0.png", pictures / FOREIGN / f"{FOREIGN}.png")
    (pictures / "alpine" / f"empty {FOREIGN}.png").write_bytes(b"")
    for _, _, name in FILES:
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).write_bytes(b"not: a model")


@pytest.fixture(scope="module", params=CONSOLES)
def console(
    request: pytest.FixtureRequest, comfyui: Host, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveServer]:
    """A server that prints in one encoding; its folder has a name of which ASCII and Latin-1 have not one character."""
    base = tmp_path_factory.mktemp("base") / CAT
    make_base(base, comfyui)
    write_files(base)
    server = LiveServer(comfyui, base, environment={"PYTHONIOENCODING": request.param})
    with server:
        yield server


def run_and_go_on(server: LiveServer, prompt: Prompt, preview_method: str = "none") -> Run:
    """Run a prompt to whatever end it has; the server must draw afterwards."""
    run = server.watch(prompt, preview_method=preview_method, timeout=60)
    run.error.encode("utf-8")
    assert server.watch(reconstruction(16, 16), timeout=60).ending == "execution_success"
    return run


def error_type(run: Run) -> str:
    (error,) = run.of("execution_error")
    return error.data["exception_type"]


def test_every_input_that_takes_text_is_among_those_that_are_tried(console: LiveServer):
    schemas = {name: schema for name, schema in console.get("/object_info").items() if name.startswith("Taming")}
    found = {
        (name, input_name)
        for name, schema in schemas.items()
        for inputs in schema["input"].values()
        for input_name, (kind, *_) in inputs.items()
        if kind in ("STRING", "COMBO")
    }
    assert found == set(TEXT_INPUTS)


@pytest.mark.parametrize(("name", "input_name"), TEXT_INPUTS, ids=PLACES)
def test_text_that_the_console_cannot_show_does_not_stop_the_queue(console: LiveServer, name: str, input_name: str):
    run = run_and_go_on(console, with_text(name, input_name, FOREIGN))
    assert run.ending == "execution_success" or error_type(run) in WORDED


@pytest.mark.parametrize("name", ["TamingBoxesToMap", "TamingBoxCondition"])
def test_a_box_whose_class_the_console_cannot_show_does_not_stop_the_queue(console: LiveServer, name: str):
    prompt = with_text(name, "labels", "")
    box = {"x": 0, "y": 0, "width": 512, "height": 512, "metadata": {"desc": FOREIGN}}
    prompt["tested"]["inputs"]["boxes"] = {"__value__": [box]}
    assert "caf\\udce9" in run_and_go_on(console, prompt).error


@pytest.mark.parametrize(("name", "input_name", "file"), FILES, ids=[".".join(place) for *place, _ in FILES])
def test_a_file_whose_name_the_console_cannot_show_does_not_stop_the_queue(
    console: LiveServer, name: str, input_name: str, file: str
):
    run = run_and_go_on(console, with_text(name, input_name, Path(file).name))
    assert error_type(run) in WORDED and "caf\\udce9" in run.error


def test_the_editor_shows_what_the_console_cannot(console: LiveServer):
    """On a console that shows only ASCII, the editor still shows what was typed as it was typed."""
    run = run_and_go_on(console, drawing(f"{CAT} \udce9"))
    assert f"no class '{CAT} \\udce9'" in run.error
    encoding = console.environment["PYTHONIOENCODING"]
    logged = CAT.encode(encoding, "backslashreplace").decode(encoding)
    assert f"no class '{logged} " in console.log.read_text(encoding=encoding)


def test_a_path_that_the_console_cannot_show_is_shown_on_the_node(console: LiveServer):
    prompt = {LOAD: node("TamingLoadVQGAN", vqgan_name=VQGAN)}
    prompt["save"] = node("TamingSaveVQGAN", vqgan=[LOAD, 0], filename_prefix=CAT)
    run = run_and_go_on(console, prompt)
    assert run.ending == "execution_success", run.error
    assert CAT in run.history["outputs"]["save"]["text"][0]


def test_a_word_that_the_console_cannot_show_is_a_warning_in_the_editor(console: LiveServer):
    run = run_and_go_on(console, with_text("TamingPromptCondition", "prompt", "zebra \udce9\ud83d"))
    assert run.ending == "execution_success", run.error
    assert any("zebra" in message.data["message"] for message in run.of("taming.warning"))


def test_pictures_whose_names_the_console_cannot_show_are_trained_on(console: LiveServer):
    run = fresh()
    prompt = {
        "recipe": recipe(folder=FOREIGN_PICTURES, steps=2),
        "train": node("TamingTrainVQGAN", recipe=["recipe", 0], run=run),
        "class recipe": recipe("pictures_class_small", folder=FOREIGN_PICTURES, steps=2),
        "transformer": node(
            "TamingTrainTransformer", recipe=["class recipe", 0], vqgan=["train", 0], run=f"{run} classes"
        ),
        "label": node("TamingClassCondition", transformer=["transformer", 0], label=FOREIGN),
        "show": node("PreviewAny", source=["label", 0]),
    }
    trained = run_and_go_on(console, prompt, "auto")
    assert trained.ending == "execution_success", trained.error
    left_out = next((console.base / "output").rglob("left_out.txt")).read_text(encoding="utf-8")
    assert "caf\\udce9" in left_out and "the file is empty" in left_out
    again = run_and_go_on(
        console, prompt | {"label": node("TamingClassCondition", transformer=["transformer", 0], label=HALF)}
    )
    assert "caf\\udce9" in again.error, "the classes are listed"


@pytest.mark.parametrize("console", ["utf-8"], indirect=True)
@pytest.mark.parametrize("text", [HALF, ZERO], ids=["half", "zero"])
@pytest.mark.parametrize(("name", "input_name"), TEXT_INPUTS, ids=PLACES)
def test_text_that_no_file_has_as_its_name_is_answered_in_words(
    console: LiveServer, name: str, input_name: str, text: str
):
    """Half an emoji as the name of a run was answered with Python's UnicodeEncodeError."""
    run = run_and_go_on(console, with_text(name, input_name, text))
    assert run.ending == "execution_success" or error_type(run) in WORDED


@pytest.mark.parametrize("console", ["ascii"], indirect=True)
def test_no_text_through_any_node_stops_the_queue(console: LiveServer):
    @settings(max_examples=60, deadline=None)
    @given(st.sampled_from(TEXT_INPUTS), any_text)
    def holds(place: tuple[str, str], text: str) -> None:
        run_and_go_on(console, with_text(*place, text))

    holds()
