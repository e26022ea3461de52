"""Write docs/nodes.md from the English texts and the schemas: `python -m devtools.nodes_page`. A unit test compares."""

from __future__ import annotations

import ast
import json
from dataclasses import dataclass
from typing import Any

from . import ROOT

PAGE = ROOT / "docs" / "nodes.md"
TEXTS = ROOT / "locales" / "en" / "nodeDefs.json"
HEAD = """# Nodes

Every node with its inputs and outputs, grouped as in the editor's menu. An input with a `?` is optional. A name leads
to a help page, which the editor shows too. [headless.md](headless.md) has the same in Python.

This page is generated: `python -m devtools.nodes_page`.
"""
COLUMNS = ("| node | does | inputs | outputs |", "|---|---|---|---|")


@dataclass(frozen=True)
class Source:
    """What the texts do not say of a node."""

    category: str
    optional: frozenset[str]  # inputs that it runs without


def main() -> None:
    PAGE.write_text(make_page(), encoding="utf-8", newline="\n")


def make_page() -> str:
    """The page as it should be."""
    sources, texts = read_sources(), json.loads(TEXTS.read_text(encoding="utf-8"))
    sections: dict[str, list[str]] = {}
    for node_id, text in texts.items():
        sections.setdefault(sources[node_id].category, []).append(make_row(node_id, text, sources[node_id].optional))
    tables = [
        "\n".join([f"## {category.replace('/', ' / ')}", "", *COLUMNS, *rows]) for category, rows in sections.items()
    ]
    return "\n".join([HEAD, "\n\n".join(tables), ""])


def make_row(node_id: str, text: dict[str, Any], optional: frozenset[str]) -> str:
    inputs = ", ".join(f"`{name}`{'?' * (name in optional)}" for name in text["inputs"])
    outputs = ", ".join(f"`{output['name']}`" for output in text["outputs"].values())
    name = f"[**{text['display_name']}**](../web/docs/{node_id}.md)"
    return f"| {name} | {text['description']} | {inputs} | {outputs or 'a file'} |"


def read_sources() -> dict[str, Source]:
    """Category and optional inputs of every node, by id; read from the source, which needs ComfyUI to run."""
    sources: dict[str, Source] = {}
    for file in sorted((ROOT / "nodes").rglob("*.py")):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and any(ast.unparse(base) == "io.ComfyNode" for base in node.bases):
                methods = {method.name: method for method in node.body if isinstance(method, ast.FunctionDef)}
                schema = literals(methods["define_schema"])
                arguments = methods["execute"].args
                names = [argument.arg for argument in arguments.args[len(arguments.args) - len(arguments.defaults) :]]
                sources[schema["node_id"]] = Source(schema["category"], frozenset(names))
    return sources


def literals(define_schema: ast.FunctionDef) -> dict[str, str]:
    """The literal keywords of the schema that a node defines."""
    calls = [node for node in ast.walk(define_schema) if isinstance(node, ast.Call)]
    (schema,) = [call for call in calls if ast.unparse(call.func) == "io.Schema"]
    return {
        keyword.arg: str(keyword.value.value)
        for keyword in schema.keywords
        if keyword.arg is not None and isinstance(keyword.value, ast.Constant)
    }


if __name__ == "__main__":
    main()
