"""Turn a workflow as the editor saves it into a prompt as the server takes it; a browser test compares the two."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import ROOT
from .server import Server

WIDGET_TYPES = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")
NOTE_TYPES = ("Note", "MarkdownNote")
SEED_NAMES = ("seed", "noise_seed")  # the editor gives these a control_after_generate value even unasked


@dataclass(frozen=True)
class InputSpec:
    """An input of a node type."""

    name: str
    type: str
    is_optional: bool
    is_widget: bool
    has_control: bool  # the editor puts control_after_generate behind it
    default: Any  # of a widget


def example_workflows() -> list[Path]:
    """Return the shipped workflows, by name."""
    return sorted((ROOT / "example_workflows").glob("*.json"))


def upload_examples(server: Server) -> None:
    """Give a server the pictures that the shipped workflows load, which the editor brings when it opens one."""
    for picture in sorted((ROOT / "web" / "examples").iterdir()):
        server.upload(picture)


def write_workflow(file: Path, workflow: dict[str, Any]) -> None:
    """Write a UI-format workflow, a line for each value."""
    file.write_text(json.dumps(workflow, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def as_graph(workflow: dict[str, Any]) -> dict[str, Any]:
    """The same workflow, opened as a graph even if it opens as an app."""
    return {**workflow, "extra": {**workflow["extra"], "linearMode": False}}


def has_words(name: str, words: list[str]) -> bool:
    """Whether all the words are in a name, as the editor searches: in any order and case."""
    return all(word.lower() in name.lower() for word in words)


def read_prompt(file: Path, object_info: dict[str, Any]) -> dict[str, Any]:
    """Read a UI-format workflow file and return its API-format prompt.

    Covers what our workflows use: no subgraphs, reroutes, muted or bypassed nodes.

    Raises:
        ValueError: the workflow has a node that the server does not know or that is switched off.
    """
    workflow = json.loads(file.read_text(encoding="utf-8"))
    sources = {link[0]: [str(link[1]), link[2]] for link in workflow["links"]}  # link id -> [node, output slot]
    nodes = [node for node in workflow["nodes"] if node["type"] not in NOTE_TYPES]
    for node in nodes:
        if node["type"] not in object_info or node.get("mode", 0) != 0:
            raise ValueError(f"{file.name}: the server does not know {node['type']} (node {node['id']}), or it is off.")
    return {str(node["id"]): _api_node(node, object_info[node["type"]], sources) for node in nodes}


def nodes_of(prompt: dict[str, Any], class_type: str) -> list[dict[str, Any]]:
    """Return the inputs of every node of one type; changing them changes the prompt."""
    return [node["inputs"] for node in prompt.values() if node["class_type"] == class_type]


def models_to_download(prompt: dict[str, Any]) -> list[str]:
    """Return the model files that a prompt loads and that do not come with the pack."""
    inputs = [node["inputs"] for node in prompt.values()]
    names = [entry[key] for entry in inputs for key in ("vqgan_name", "transformer_name") if key in entry]
    return sorted({name for name in names if not name.startswith("embedded/")})


def _api_node(node: dict[str, Any], info: dict[str, Any], sources: dict[int, list[Any]]) -> dict[str, Any]:
    named = zip(_widget_names(info), node.get("widgets_values") or [], strict=False)  # an older file has fewer values
    inputs = {name: _as_value(value) for name, value in named if name is not None}
    links = {socket["name"]: sources[socket["link"]] for socket in node.get("inputs", []) if socket.get("link")}
    title = node.get("title") or info["display_name"]
    return {"class_type": node["type"], "inputs": inputs | links, "_meta": {"title": title}}


def _as_value(value: Any) -> Any:
    """Wrap a list: the server would take it bare for a link."""
    return {"__value__": value} if isinstance(value, list) else value


def input_specs(info: dict[str, Any]) -> Iterator[InputSpec]:
    """Yield the inputs of a node, from what the server says about its type, in the order of its widgets."""
    for section in ("required", "optional"):
        for name, (kind, *rest) in info["input"].get(section, {}).items():
            options = rest[0] if rest else {}
            choices = kind if isinstance(kind, list) else options.get("options", [])
            is_widget = isinstance(kind, list) or kind in WIDGET_TYPES or "widgetType" in options
            yield InputSpec(
                name=name,
                type="COMBO" if isinstance(kind, list) else kind,
                is_optional=section == "optional",
                is_widget=is_widget and not options.get("forceInput"),
                has_control=name in SEED_NAMES or bool(options.get("control_after_generate")),
                default=options.get("default", choices[0] if choices else None),
            )


def _widget_names(info: dict[str, Any]) -> Iterator[str | None]:
    """Yield the name of each entry of `widgets_values`, None for one that belongs to the editor alone."""
    for spec in input_specs(info):
        if spec.is_widget:
            yield spec.name
            if spec.has_control:
                yield None
