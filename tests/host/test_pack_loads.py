"""The pack in the real host: what is registered, what ComfyUI-Manager's scanner sees, what it costs."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

from devtools import ROOT
from devtools.host import PACK_FOLDER
from live_server import LiveServer

TIME_THE_LOADING = """
import asyncio, sys, time
pack = sys.argv.pop(1)
import comfy.options
comfy.options.enable_args_parsing()
import nodes  # the host's own, with everything that is loaded before any pack
start = time.process_time()
assert asyncio.run(nodes.load_custom_node(pack))
print(time.process_time() - start)
"""
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
    found = set().union(*(scanned_ids(file) for file in (ROOT / "nodes").glob("*.py")))
    assert found == registered
    assert registered


def test_the_pack_adds_little_to_the_start(server: LiveServer):
    """Processor seconds, so that a busy machine does not fail it."""
    assert "IMPORT FAILED" not in server.log.read_text(encoding="utf-8", errors="replace")
    pack = server.base / "custom_nodes" / PACK_FOLDER
    command = [server.host.python, "-c", TIME_THE_LOADING, pack, "--cpu", "--base-directory", server.base]
    result = subprocess.run(command, cwd=server.host.tree, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert float(result.stdout.split()[-1]) < 0.3
