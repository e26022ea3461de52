"""Lay workflows out anew: `python -m devtools.layout FILE...` rewrites positions, sizes and groups in place.

Nodes stand from left to right by depth, the note first in the leftmost column, samplers last in theirs with room for a
preview below them, a group around its nodes. Within these rules a search looks for heights at which every wire is seen.
It needs Playwright, so run it with `.venv`'s Python.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from .arrangement import FIRST, LAST, NORMAL, Block, Node, Placement, arrange, make_columns
from .browser import chromium, open_editor
from .geometry import PREVIEWED, Box, Geometry, find_faults, read_geometry, show_previews
from .host import get_host, make_base
from .server import Server
from .steps import say
from .workflows import NOTE_TYPES, as_graph, write_workflow

PREVIEW_ROOM_PX = 320
VIEW_PX = (1480, 840)  # of a window of 1600 x 1000 px, what the editor's bars leave
BARS_PX = (80, 120)  # at the left and at the top
READABLE = 0.6  # the least scale
CLASSIC, NODES_2 = RENDERERS = ("classic", "Nodes 2.0")
# What the widgets and sockets of a node want.
FIT = """async (workflow) => {
  await app.loadGraphData(workflow);
  return app.graph.nodes.map((node) => [Number(node.id), [...node.computeSize()]]);
}"""


@contextmanager
def open_editors() -> Iterator[Editors]:
    """The editors of a server of their own, for the time of the `with` block."""
    host = get_host()
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        make_base(Path(folder), host)
        with Server(host, Path(folder)) as server:
            pages = {name: browser.new_page(viewport={"width": 1600, "height": 1000}) for name in RENDERERS}
            for name, page in pages.items():
                open_editor(server, page, is_nodes2=name == NODES_2)
            yield Editors(server.get("/object_info"), pages)


@dataclass(frozen=True)
class Editors:
    """The editor in both renderers, in which workflows are measured."""

    object_info: dict[str, Any]  # what the server says about its node types
    pages: dict[str, Page]  # by renderer

    def fit(self, workflow: dict[str, Any]) -> None:
        """Make every node as large as its contents, at least; a classic one keeps the size that its file gives."""
        wanted = dict(self.pages[CLASSIC].evaluate(FIT, as_graph(workflow)))
        for node in workflow["nodes"]:
            if node["type"] not in NOTE_TYPES:
                node["size"] = [max(pair) for pair in zip(node["size"], wanted[node["id"]], strict=True)]

    def lay_out(self, workflow: dict[str, Any]) -> None:
        """Give a workflow new positions, sizes and groups."""
        lay_out(workflow, [_measure(page, workflow) for page in self.pages.values()])

    def report(self, name: str, workflow: dict[str, Any]) -> int:
        """Say what is hidden when previews are shown; returns how much."""
        found = 0
        for renderer, page in self.pages.items():
            _open(page, workflow)
            show_previews(page)
            faults = find_faults(read_geometry(page))
            say(f"{name}, {renderer}: {len(faults) or 'nothing'} hidden")
            for fault in faults:
                print(f"      {fault}")
            found += len(faults)
        return found


def main(names: list[str]) -> int:
    """Lay out every file; returns 1 if something in one of them is still hidden."""
    found = 0
    with open_editors() as editors:
        for file in map(Path, names):
            workflow = json.loads(file.read_text(encoding="utf-8"))
            editors.lay_out(workflow)
            write_workflow(file, workflow)
            found += editors.report(file.name, workflow)
    return int(found > 0)


def lay_out(workflow: dict[str, Any], measured: list[Geometry]) -> None:
    """Give a UI-format workflow new positions, sizes and groups, for nodes as large as in the largest geometry.

    Raises:
        ValueError: it has groups that feed each other in a circle.
    """
    links = {link[0]: (link[1], link[3]) for link in workflow["links"]}
    nodes = {node["id"]: _node(node, links, measured) for node in workflow["nodes"]}
    placement = arrange(_block(workflow, nodes, links), links)
    title_px = _title_px(measured[0], workflow)
    for node in workflow["nodes"]:
        box = placement.boxes[node["id"]]
        room = PREVIEW_ROOM_PX if node["type"] in PREVIEWED else 0
        node["pos"] = [round(box.x), round(box.y + title_px)]
        node["size"] = [round(box.width), round(box.height - title_px - room)]
    _write_groups(workflow, placement)
    workflow["extra"]["ds"] = _view(workflow)


def _node(node: dict[str, Any], links: dict[int, tuple[int, int]], measured: list[Geometry]) -> Node:
    """A node with its largest size and the places of its sockets, which hardly differ between renderers."""
    boxes = [geometry.boxes[node["id"]] for geometry in measured]
    box, wires = boxes[-1], {wire.link: wire for wire in measured[-1].wires}
    rank = FIRST if node["type"] in NOTE_TYPES else LAST if node["type"] in PREVIEWED else NORMAL
    return Node(
        id=node["id"],
        width=max(box.width for box in boxes),
        height=max(box.height for box in boxes) + (PREVIEW_ROOM_PX if rank == LAST else 0),
        rank=rank,
        starts={
            link: (wires[link].start[0] - box.right, wires[link].start[1] - box.y)
            for link, (source, _) in links.items()
            if source == node["id"]
        },
        ends={
            link: (wires[link].end[0] - box.x, wires[link].end[1] - box.y)
            for link, (_, target) in links.items()
            if target == node["id"]
        },
    )


def _block(workflow: dict[str, Any], nodes: dict[int, Node], links: dict[int, tuple[int, int]]) -> Block:
    """The graph as a block, with a block for each group; a node is in the group that its left corner is in."""
    group_of: dict[int, int] = {}
    for node in workflow["nodes"]:
        x, y = node["pos"]
        for index, group in enumerate(workflow["groups"]):
            if node["id"] in nodes and Box(*group["bounding"]).contains(Box(x, y, 0, 0)):
                group_of[node["id"]] = -1 - index  # below every id of a node
    key_of = {id: group_of.get(id, id) for id in nodes}
    items: dict[int, Node | Block] = {}
    for id, key in key_of.items():
        if key == id:
            items[key] = nodes[id]
        elif key not in items:
            members: dict[int, Node | Block] = {other: nodes[other] for other in nodes if key_of[other] == key}
            inner = {(source, target) for source, target in links.values() if {source, target} <= members.keys()}
            items[key] = Block(workflow["groups"][-1 - key]["title"], make_columns(members, inner))
    outer = {(key_of[source], key_of[target]) for source, target in links.values()}
    return Block(None, make_columns(items, {(source, target) for source, target in outer if source != target}))


def _write_groups(workflow: dict[str, Any], placement: Placement) -> None:
    for group in workflow["groups"]:
        if group["title"] in placement.groups:
            box = placement.groups[group["title"]]
            group["bounding"] = [round(box.x), round(box.y), round(box.width), round(box.height)]


def _view(workflow: dict[str, Any]) -> dict[str, Any]:
    """The scale and offset that show all of it in a window of usual size, or its beginning where that is too small."""
    corners = [(*node["pos"], *node["size"]) for node in workflow["nodes"]]
    corners += [group["bounding"] for group in workflow["groups"]]
    left, top = min(x for x, *_ in corners), min(y for _, y, *_ in corners)
    width = max(x + across for x, _, across, _ in corners) - left
    height = max(y + down for _, y, _, down in corners) - top
    scale = max(READABLE, round(min(1.0, VIEW_PX[0] / width, VIEW_PX[1] / height), 2))
    return {"scale": scale, "offset": [round(BARS_PX[0] / scale - left), round(BARS_PX[1] / scale - top)]}


def _measure(page: Page, workflow: dict[str, Any]) -> Geometry:
    _open(page, workflow)
    return read_geometry(page)


def _open(page: Page, workflow: dict[str, Any]) -> None:
    page.evaluate("workflow => app.loadGraphData(workflow)", as_graph(workflow))


def _title_px(classic: Geometry, workflow: dict[str, Any]) -> float:
    """Height of a node's title: its position in the file is below it."""
    node = workflow["nodes"][0]
    return node["pos"][1] - classic.boxes[node["id"]].y


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
