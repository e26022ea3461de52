"""Pictures of the shipped workflows come with them."""

from __future__ import annotations

import json

from devtools.workflows import example_workflows
from live_editor import Editor

PICTURES = ("taming_lake.jpg", "taming_lake_mask.webp")
# What Load Image shows, and whether the editor knows that picture.
SHOWN = """() => app.graph.nodes.filter((node) => node.type === "LoadImage").map(({ widgets: [image] }) =>
  [image.value, image.options.values.includes(image.value)])"""


def test_opening_a_workflow_brings_the_pictures_that_it_loads(editor: Editor):
    """And one that loads none brings none."""
    inputs = editor.server.base / "input"
    for name in PICTURES:
        (inputs / name).unlink(missing_ok=True)
    workflows = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in example_workflows()}
    editor.load(next(workflow for name, workflow in workflows.items() if "Draw a landscape" in name))
    assert not any((inputs / name).exists() for name in PICTURES)
    for words, name in (("Reconstruct an image", PICTURES[0]), ("Inpaint", PICTURES[1])):
        editor.load(next(workflow for stem, workflow in workflows.items() if words in stem))
        assert editor.page.evaluate(SHOWN) == [[name, True]]
        assert (inputs / name).is_file()
    assert editor.complaints == []


def test_a_picture_of_the_user_with_that_name_is_left_alone(editor: Editor):
    own = editor.server.base / "input" / PICTURES[0]
    shipped = own.read_bytes()
    own.write_bytes(shipped + b"mine")
    file = next(file for file in example_workflows() if "Reconstruct an image" in file.stem)
    editor.load(json.loads(file.read_text(encoding="utf-8")))
    assert own.read_bytes() == shipped + b"mine"
    own.write_bytes(shipped)
