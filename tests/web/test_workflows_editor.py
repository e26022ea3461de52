"""The shipped workflows in the real editor."""

import json
from pathlib import Path

import pytest

from devtools.workflows import example_workflows, read_prompt
from live_editor import EARLIER, Editor

EARLIER_WORKFLOWS = sorted(EARLIER.glob("*.json"))


@pytest.mark.parametrize("file", example_workflows(), ids=lambda file: file.stem)
def test_a_workflow_opens_without_complaint_and_gives_the_prompt_that_the_demo_sends(editor: Editor, file: Path):
    editor.load(json.loads(file.read_text(encoding="utf-8")))
    assert editor.prompt() == read_prompt(file, editor.server.get("/object_info"))
    assert editor.complaints == []


@pytest.mark.parametrize("file", example_workflows(), ids=lambda file: file.stem)
def test_a_workflow_survives_saving_and_opening(editor: Editor, file: Path):
    editor.load(json.loads(file.read_text(encoding="utf-8")))
    prompt = editor.prompt()
    saved = editor.save()
    editor.load(saved)
    assert editor.prompt() == prompt
    assert editor.save()["nodes"] == saved["nodes"]


@pytest.mark.parametrize("file", EARLIER_WORKFLOWS, ids=lambda file: file.stem)
def test_a_workflow_of_an_earlier_version_opens_and_asks_for_the_same(editor: Editor, file: Path):
    editor.load(json.loads(file.read_text(encoding="utf-8")))
    wanted = read_prompt(file, editor.server.get("/object_info"))
    for node in wanted.values():
        if node["class_type"] == "TamingSample":
            node["inputs"].setdefault("settings", "as set")
    assert editor.prompt() == wanted
    assert editor.complaints == []
