"""The shipped workflows, run as they are."""

from pathlib import Path

import pytest

from devtools.workflows import example_workflows, read_prompt
from live_server import LiveServer

WORKFLOWS = example_workflows()


def test_there_are_workflows():
    assert WORKFLOWS


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_a_workflow_runs_as_it_is_shipped(server: LiveServer, file: Path):
    pictures = server.run(read_prompt(file, server.get("/object_info")))
    assert any(pictures.values())


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_a_workflow_has_a_thumbnail(file: Path):
    """The template browser asks for this very name."""
    assert file.with_suffix(".jpg").read_bytes().startswith(b"\xff\xd8")
