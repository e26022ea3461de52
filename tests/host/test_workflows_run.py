"""The shipped workflows, run as they are; small random stand-ins take the place of what they would download."""

import json
from pathlib import Path

import pytest

from devtools import ROOT
from devtools.workflows import NOTE_TYPES, example_workflows, models_to_download, nodes_of, read_prompt
from live_server import LiveServer
from prompts import pixels
from workflow_models import in_miniature

WORKFLOWS = example_workflows()
ZOO = json.loads((ROOT / "taming" / "zoo" / "models.json").read_text(encoding="utf-8"))


def test_there_are_workflows():
    assert WORKFLOWS


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_a_workflow_runs_as_it_is_shipped(server: LiveServer, file: Path):
    """But for training, which is done in miniature."""
    prompt = in_miniature(read_prompt(file, server.get("/object_info")))
    pictures = [picture for shown in server.run(prompt).values() for picture in shown]
    assert pictures
    assert all(pixels(picture).std() > 0 for picture in pictures)


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_a_workflow_has_a_thumbnail(file: Path):
    """The template browser asks for this very name."""
    assert file.with_suffix(".jpg").read_bytes().startswith(b"\xff\xd8")


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_a_workflow_says_which_file_it_needs_and_the_zoo_says_where_it_is(server: LiveServer, file: Path):
    needed = models_to_download(read_prompt(file, server.get("/object_info")))
    nodes = json.loads(file.read_text(encoding="utf-8"))["nodes"]
    note = "\n".join(node["widgets_values"][0] for node in nodes if node["type"] in NOTE_TYPES)
    known = {model["file"]: model for model in ZOO if model["folder"] == "taming_transformers"}
    for name in needed:
        assert f"**{name}**" in note
        model = known[name]
        assert (f"download {model['name']} " in note) if model["url"] else (model["source"] in note)


@pytest.mark.parametrize(
    ("name", "size"), [("Draw by a map of labels", (512, 256)), ("Draw by depth", (272, 336))], ids=["map", "depth"]
)
def test_the_picture_gets_the_size_of_the_map(server: LiveServer, name: str, size: tuple[int, int]):
    """As the notes in these workflows promise."""
    file = next(file for file in WORKFLOWS if file.stem == name)
    prompt = read_prompt(file, server.get("/object_info"))
    ground = nodes_of(prompt, "EmptyImage") or nodes_of(prompt, "SolidMask")  # the first is what the others lie on
    ground[0] |= {"width": size[0], "height": size[1]}
    for empty in nodes_of(prompt, "TamingEmptyTokens"):
        empty["batch_size"] = 1
    pictures = server.run(prompt)
    (saved,) = (key for key, node in prompt.items() if node["class_type"] == "SaveImage")
    assert [pixels(picture).shape[:2] for picture in pictures[saved]] == [(size[1], size[0])]
