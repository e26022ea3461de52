"""The shipped workflows, run as they are; small random stand-ins take the place of what they would download."""

import json
from pathlib import Path

import pytest

from devtools import ROOT
from devtools.live_server import LiveServer
from devtools.workflows import NOTE_TYPES, example_workflows, models_to_download, nodes_of, read_prompt
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
def test_a_workflow_offers_the_file_that_it_needs(server: LiveServer, file: Path):
    """In its note, and to the editor, whose dialog then knows the folder and the address."""
    needed = models_to_download(read_prompt(file, server.get("/object_info")))
    nodes = json.loads(file.read_text(encoding="utf-8"))["nodes"]
    note = "\n".join(node["widgets_values"][0] for node in nodes if node["type"] in NOTE_TYPES)
    known = {model["file"]: model for model in ZOO}
    for name in needed:
        model = known[name]
        assert f"**{name}**" in note
        assert model["source"] in note
        offered = [entry for node in nodes for entry in node["properties"].get("models", [])]
        assert offered == [{"name": name, "url": model["url"] or model["source"], "directory": model["folder"]}]


def test_a_download_is_named_as_the_browser_saves_it():
    """The editor's Download follows the link, and the file keeps the name that it has there."""
    for name in ("llamagen_vq16_c2i", "ibq_16384"):
        (model,) = (model for model in ZOO if model["name"] == name)
        assert model["url"].endswith(f"/{model['file']}")


@pytest.mark.parametrize(
    ("name", "type", "size"),
    [("map of labels", "TamingBoxesToMap", (512, 256)), ("from depth", "SolidMask", (272, 336))],
    ids=["map", "depth"],
)
def test_the_picture_gets_the_size_of_the_map(server: LiveServer, name: str, type: str, size: tuple[int, int]):
    """As the notes in these workflows promise."""
    file = next(file for file in WORKFLOWS if name in file.stem)
    prompt = read_prompt(file, server.get("/object_info"))
    nodes_of(prompt, type)[0] |= {"width": size[0], "height": size[1]}  # of masks, the first is what the others lie on
    for empty in nodes_of(prompt, "TamingEmptyTokens"):
        empty["batch_size"] = 1
    pictures = server.run(prompt)
    (saved,) = (key for key, node in prompt.items() if node["class_type"] == "SaveImage")
    assert [pixels(picture).shape[:2] for picture in pictures[saved]] == [(size[1], size[0])]
