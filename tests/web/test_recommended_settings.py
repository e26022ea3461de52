"""Workflows from before Sample Tokens had recommended settings draw as they did; new nodes use them."""

from __future__ import annotations

import json
from typing import Any

from live_editor import EARLIER, Editor

ADD = """() => {
  const node = LiteGraph.createNode("TamingSample");
  app.graph.add(node);
  return node.widgets.find((widget) => widget.name === "settings").value;
}"""


def old_workflow() -> dict[str, Any]:
    """Draw a class, as an older version saved it."""
    return json.loads((EARLIER / "Draw a class (before settings).json").read_text(encoding="utf-8"))


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
