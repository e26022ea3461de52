"""The pack's blueprints: whole tasks as one node of the node library, `python -m devtools.templates.blueprints`.

A blueprint is a workflow of one node, whose type is a subgraph that the file defines. The workflows of `embedded` show
how such a task is done; here it is only done. It needs the server and the editor, so run it with `.venv`'s Python.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from .. import ROOT
from ..layout import open_editors
from ..workflows import write_workflow
from . import embedded
from .graph import Added, Graph, Output

FOLDER = ROOT / "subgraphs"
CATEGORY = "Taming"
INPUT_NODE, OUTPUT_NODE = -10, -20  # ids that the editor gives the two ends of a subgraph
END_PX, ENDS_GAP_PX = (120, 100), 100
LINK_FIELDS = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
SIZE_PX = (300, 60)  # of the one node that is seen, which grows with what is in it


@dataclass(frozen=True)
class Made:
    """What a task gives back, and the widgets that its node shows."""

    image: Output
    widgets: Sequence[tuple[Added, str]]


@dataclass(frozen=True)
class Blueprint:
    """A task: `build` adds its nodes to a graph, given the outputs that stand for the `inputs` of the subgraph."""

    name: str
    description: str
    aliases: tuple[str, ...]
    inputs: dict[str, str]  # types by name
    build: Callable[..., Made]


def draw(graph: Graph) -> Made:
    model = graph.add("TamingLoadTransformer", transformer_name=embedded.CLASS_MODEL)
    label = graph.add("TamingClassCondition", transformer=model["TRANSFORMER"], label="alpine")
    tokens = graph.add("TamingEmptyTokens", vqgan=model["VQGAN"])
    sampled, image = embedded.draw_tokens(graph, model, tokens.output, label, seed=1)
    return Made(image, [(label, "label"), (tokens, "batch_size"), (sampled, "seed")])


def fill_in(graph: Graph, image: Output, mask: Output) -> Made:
    model = graph.add("TamingLoadTransformer", transformer_name=embedded.CLASS_MODEL)
    tokens = graph.add("TamingEncode", vqgan=model["VQGAN"], image=embedded.fit(graph, image))
    forgotten = graph.add("TamingForgetTokens", tokens=tokens.output, mask=mask)
    label = graph.add("TamingClassCondition", transformer=model["TRANSFORMER"], label="beach")
    sampled, drawn = embedded.draw_tokens(graph, model, forgotten.output, label, seed=3)
    return Made(embedded.paste(graph, image, drawn, mask), [(label, "label"), (forgotten, "grow"), (sampled, "seed")])


def panorama(graph: Graph, image: Output) -> Made:
    model = graph.add("TamingLoadTransformer", transformer_name=embedded.CLASS_MODEL)
    tokens = graph.add("TamingEncode", vqgan=model["VQGAN"], image=image)
    padded = graph.add("TamingPadTokens", tokens=tokens.output, right=4 * embedded.MODEL_PX // embedded.TOKEN_PX)
    label = graph.add("TamingClassCondition", transformer=model["TRANSFORMER"], label="alpine")
    sampled, drawn = embedded.draw_tokens(graph, model, padded.output, label, seed=1)
    return Made(drawn, [(label, "label"), (padded, "left"), (padded, "right"), (sampled, "seed")])


BLUEPRINTS = (
    Blueprint(
        "Draw (Taming VQGAN)",
        "Draws a landscape of a label with the embedded models.",
        ("vqgan", "tokens", "landscape", "text to image"),
        {},
        draw,
    ),
    Blueprint(
        "Fill in (Taming VQGAN)",
        "Draws again what a mask covers, and pastes it over the picture in full size.",
        ("inpaint", "vqgan", "tokens"),
        {"image": "IMAGE", "mask": "MASK"},
        fill_in,
    ),
    Blueprint(
        "Panorama (Taming VQGAN)",
        "Draws a landscape on beyond its left and right edge.",
        ("outpaint", "extend", "vqgan", "tokens"),
        {"image": "IMAGE"},
        panorama,
    ),
)


def main() -> int:
    """Write all of them; returns 1 if something in one is hidden."""
    FOLDER.mkdir(exist_ok=True)
    found = 0
    with open_editors() as editors:
        for blueprint in BLUEPRINTS:
            graph = Graph(blueprint.name, editors.object_info)
            ends = {name: Output(INPUT_NODE, slot, type) for slot, (name, type) in enumerate(blueprint.inputs.items())}
            made = blueprint.build(graph, **ends)
            inner = graph.workflow()
            editors.fit(inner)
            editors.lay_out(inner)
            found += editors.report(blueprint.name, inner)
            write_workflow(FOLDER / f"{blueprint.name}.json", as_file(blueprint, inner, graph.open_links, made))
    return int(found > 0)


def as_file(blueprint: Blueprint, inner: dict[str, Any], open_links: list[list[Any]], made: Made) -> dict[str, Any]:
    """The file of a blueprint: a node, and the subgraph of its type with the nodes of `inner`, which are laid out.

    `open_links` come from the inputs of the subgraph.
    """
    subgraph = make_subgraph(blueprint, inner, open_links, made.image)
    node = {
        "id": len(inner["nodes"]) + 1,
        "type": subgraph["id"],
        "pos": [0, 0],
        "size": list(SIZE_PX),
        "flags": {},
        "order": 0,
        "mode": 0,
        "inputs": [{"name": name, "type": type, "link": None} for name, type in blueprint.inputs.items()],
        "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": []}],
        "title": blueprint.name,
        "properties": {"proxyWidgets": [[str(inside.id), name] for inside, name in made.widgets]},
        "widgets_values": [],
    }
    return {
        "id": _identifier(f"{blueprint.name}/file"),
        "revision": 0,
        "last_node_id": node["id"],
        "last_link_id": 0,
        "nodes": [node],
        "links": [],
        "groups": [],
        "definitions": {"subgraphs": [subgraph]},
        "config": {},
        "extra": {"BlueprintDescription": blueprint.description, "BlueprintSearchAliases": list(blueprint.aliases)},
        "version": 0.4,
    }


def make_subgraph(
    blueprint: Blueprint, inner: dict[str, Any], open_links: list[list[Any]], image: Output
) -> dict[str, Any]:
    """The definition of a subgraph that gives `image`, and joins its inputs by `open_links`."""
    nodes = {node["id"]: node for node in inner["nodes"]}
    for link, _, _, target, slot, _ in open_links:
        nodes[target]["inputs"][slot]["link"] = link
    last = len(inner["links"]) + len(open_links) + 1
    nodes[image.node]["outputs"][image.slot]["links"].append(last)
    out = [last, image.node, image.slot, OUTPUT_NODE, 0, image.type]
    left = min(node["pos"][0] for node in nodes.values())
    right = max(node["pos"][0] + node["size"][0] for node in nodes.values())
    inputs = [
        {
            "id": _identifier(f"{blueprint.name}/{name}"),
            "name": name,
            "type": type,
            "linkIds": [link[0] for link in open_links if link[2] == slot],
        }
        for slot, (name, type) in enumerate(blueprint.inputs.items())
    ]
    output = {"id": _identifier(f"{blueprint.name}/IMAGE"), "name": "IMAGE", "type": "IMAGE", "linkIds": [last]}
    return {
        "id": _identifier(blueprint.name),
        "version": 1,
        "state": {"lastGroupId": 0, "lastNodeId": len(nodes), "lastLinkId": last, "lastRerouteId": 0},
        "revision": 0,
        "config": {},
        "name": blueprint.name,
        "inputNode": {"id": INPUT_NODE, "bounding": [left - ENDS_GAP_PX - END_PX[0], 0, *END_PX]},
        "outputNode": {"id": OUTPUT_NODE, "bounding": [right + ENDS_GAP_PX, 0, *END_PX]},
        "inputs": inputs,
        "outputs": [output],
        "widgets": [],
        "nodes": inner["nodes"],
        "groups": [],
        "links": [dict(zip(LINK_FIELDS, link, strict=True)) for link in (*inner["links"], *open_links, out)],
        "extra": {},
        "category": CATEGORY,
        "description": blueprint.description,
    }


def _identifier(name: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"taming-tokens/subgraphs/{name}"))


if __name__ == "__main__":
    sys.exit(main())
