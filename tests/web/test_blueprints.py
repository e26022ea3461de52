"""The pack's blueprints: whole tasks as one node of the node library."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from devtools import ROOT
from devtools.host import PACK_FOLDER
from live_editor import Editor
from prompts import pixels

BLUEPRINTS = sorted((ROOT / "subgraphs").glob("*.json"))
# Connects what the node wants, and shows what it gives.
USE = """() => {
  const node = app.graph.nodes[0];
  const wanted = node.inputs.map((input) => input.name).filter((name) => ["image", "mask"].includes(name));
  if (wanted.length) {
    const photo = LiteGraph.createNode("LoadImage");
    app.graph.add(photo);
    photo.widgets[0].value = "taming_lake_mask.webp";
    for (const name of wanted) photo.connect(name === "mask" ? 1 : 0, node, node.findInputSlot(name));
  }
  const shown = LiteGraph.createNode("PreviewImage");
  app.graph.add(shown);
  node.connect(0, shown, 0);
  return node.widgets.map((widget) => widget.name);
}"""


def test_the_host_lists_them(editor: Editor):
    listed = editor.server.get("/global_subgraphs").values()
    ours = {entry["name"] for entry in listed if entry["info"]["node_pack"] == f"custom_nodes.{PACK_FOLDER}"}
    assert ours == {file.stem for file in BLUEPRINTS}
    assert len(ours) == 3


@pytest.mark.parametrize("file", BLUEPRINTS, ids=lambda file: file.stem)
def test_one_draws(editor: Editor, file: Path):
    editor.load(json.loads(file.read_text(encoding="utf-8")))
    widgets = editor.page.evaluate(USE)
    assert {"label", "seed"} <= set(widgets)
    prompt = editor.prompt()
    images = editor.server.run(prompt)
    (shown,) = (key for key, node in prompt.items() if node["class_type"] == "PreviewImage")
    assert all(pixels(image).std() > 0 for image in images[shown])
    assert editor.complaints == []
