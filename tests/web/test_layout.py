"""Whether everything in the shipped workflows can be seen, with a live preview on each sampler."""

from __future__ import annotations

import json

from devtools.geometry import find_faults, read_geometry, show_previews
from devtools.workflows import as_graph, example_workflows
from live_editor import Editor


def test_nothing_covers_anything_else(editor: Editor):
    """A live preview grew over Decode Tokens, Nodes 2.0 hid the tops of nodes, and wires ran behind nodes."""
    faults = {}
    for file in example_workflows():
        editor.load(as_graph(json.loads(file.read_text(encoding="utf-8"))))
        show_previews(editor.page)
        found = find_faults(read_geometry(editor.page))
        if found:
            faults[file.stem] = [str(fault) for fault in found]
    assert faults == {}
