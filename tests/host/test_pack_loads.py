"""The pack in the real host: what is registered, and what ComfyUI-Manager's scanner sees."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from devtools import ROOT
from devtools.host import PACK_FOLDER
from devtools.live_server import LiveServer

MODULE = f"custom_nodes.{PACK_FOLDER}"


def scanned_ids(file: Path) -> set[str]:
    """Node ids as ComfyUI-Manager's scanner finds them: direct `ComfyNode` classes with a literal id."""
    ids = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base).endswith("ComfyNode") for base in node.bases):
            calls = [call for call in ast.walk(node) if isinstance(call, ast.Call)]
            keywords = [keyword for call in calls for keyword in call.keywords if keyword.arg == "node_id"]
            ids |= {keyword.value.value for keyword in keywords if isinstance(keyword.value, ast.Constant)}
    return ids


@pytest.fixture(scope="module")
def registered(server: LiveServer) -> set[str]:
    info = server.get("/object_info")
    return {name for name, node in info.items() if node["python_module"] == MODULE}


def test_the_server_registers_every_node_that_the_scanner_finds(registered: set[str]):
    """One bad schema silently removes every node after it, so the two lists would differ."""
    found = set().union(*(scanned_ids(file) for file in (ROOT / "nodes").rglob("*.py")))
    assert found == registered
    assert registered


def test_the_pack_is_loaded_without_an_error(server: LiveServer):
    """Its cost is measured by benchmarks/bench_import.py."""
    assert "IMPORT FAILED" not in server.log.read_text(encoding="utf-8", errors="replace")
