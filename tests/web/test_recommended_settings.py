"""Workflows from before Sample Tokens had recommended settings draw as they did; new nodes use them."""

from __future__ import annotations

import json

from devtools.workflows import example_workflows
from live_editor import Editor

OLD = 6  # values of the node before there was a choice: seed, what becomes of it, temperature, top_k, top_p, guidance
ADD = """() => {
  const node = LiteGraph.createNode("TamingSample");
  app.graph.add(node);
  return node.widgets.find((widget) => widget.name === "settings").value;
}"""


def old_workflow() -> dict:
    """Draw a class, as an older version saved it."""
    file = next(file for file in example_workflows() if "Draw a class" in file.stem or "landscape" in file.stem.lower())
    workflow = json.loads(file.read_text(encoding="utf-8"))
    for node in workflow["nodes"]:
        if node["type"] == "TamingSample":
            node["widgets_values"] = node["widgets_values"][:OLD]
    return workflow


def settings_of(editor: Editor) -> list[str]:
    return [each["inputs"]["settings"] for each in editor.prompt().values() if each["class_type"] == "TamingSample"]


def test_a_new_node_has_the_recommended_settings(editor: Editor):
    assert editor.page.evaluate(ADD) == "recommended"


def test_an_older_workflow_keeps_its_own_settings_when_it_is_opened_and_saved(editor: Editor):
    editor.load(old_workflow())
    assert set(settings_of(editor)) == {"as set"}
    editor.load(editor.save())
    assert set(settings_of(editor)) == {"as set"}
    assert editor.complaints == []


def test_a_saved_choice_comes_back(editor: Editor):
    workflow = old_workflow()
    for node in workflow["nodes"]:
        if node["type"] == "TamingSample":
            node["widgets_values"].append("recommended")
    editor.load(workflow)
    assert set(settings_of(editor)) == {"recommended"}
