"""Lay workflows out anew: `python -m devtools.layout FILE...` rewrites positions, sizes and groups in place.

Nodes stand from left to right by depth, samplers last in their column with room for a preview below them, a group
around its nodes, the note at the left. Within these rules a search looks for heights at which every wire is seen.
It needs Playwright, so run it with `.venv`'s Python.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from .arrangement import GAP_PX, Block, Node, Placement, arrange, make_columns
from .browser import chromium, open_editor
from .geometry import PREVIEWED, Box, Geometry, find_faults, read_geometry, show_previews
from .host import get_host, make_base
from .server import Server
from .steps import say
from .workflows import NOTE_TYPES

NOTE_PX = (400, 300)
PREVIEW_ROOM_PX = 320
RENDERERS = ("classic", "Nodes 2.0")


def main(names: list[str]) -> int:
    """Lay out every file; returns 1 if something in one of them is still hidden."""
    workflows = {Path(name): json.loads(Path(name).read_text(encoding="utf-8")) for name in names}
    host = get_host()
    found = 0
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        make_base(Path(folder), host)
        with Server(host, Path(folder)) as server:
            pages = {name: browser.new_page(viewport={"width": 1600, "height": 1000}) for name in RENDERERS}
            for name, page in pages.items():
                open_editor(server, page, is_nodes2=name == "Nodes 2.0")
            for file, workflow in workflows.items():
                lay_out(workflow, [_measure(page, workflow) for page in pages.values()])
                file.write_text(json.dumps(workflow, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
                found += sum(_report(file, name, page, workflow) for name, page in pages.items())
    return int(found > 0)


def lay_out(workflow: dict[str, Any], measured: list[Geometry]) -> None:
    """Give a UI-format workflow new positions, sizes and groups, for nodes as large as in the largest geometry.

    Raises:
        ValueError: it has several notes, or groups that feed each other in a circle.
    """
    notes = [node for node in workflow["nodes"] if node["type"] in NOTE_TYPES]
    if len(notes) > 1:
        raise ValueError(f"the workflow has {len(notes)} notes. Keep one.")
    links = {link[0]: (link[1], link[3]) for link in workflow["links"]}
    nodes = {node["id"]: _node(node, links, measured) for node in workflow["nodes"] if node not in notes}
    placement = arrange(_block(workflow, nodes, links), links)
    title_px = _title_px(measured[0], workflow)
    for node in workflow["nodes"]:
        if node in notes:
            node["pos"] = [-NOTE_PX[0] - GAP_PX, title_px]
            node["size"] = [NOTE_PX[0], NOTE_PX[1] - title_px]
            continue
        box = placement.boxes[node["id"]]
        room = PREVIEW_ROOM_PX if node["type"] in PREVIEWED else 0
        node["pos"] = [round(box.x), round(box.y + title_px)]
        node["size"] = [round(box.width), round(box.height - title_px - room)]
    _write_groups(workflow, placement)


def _node(node: dict[str, Any], links: dict[int, tuple[int, int]], measured: list[Geometry]) -> Node:
    """A node with its largest size and the places of its sockets, which hardly differ between renderers."""
    boxes = [geometry.boxes[node["id"]] for geometry in measured]
    box, wires = boxes[-1], {wire.link: wire for wire in measured[-1].wires}
    is_last = node["type"] in PREVIEWED
    return Node(
        id=node["id"],
        width=max(box.width for box in boxes),
        height=max(box.height for box in boxes) + (PREVIEW_ROOM_PX if is_last else 0),
        is_last=is_last,
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


def _measure(page: Page, workflow: dict[str, Any]) -> Geometry:
    page.evaluate("workflow => app.loadGraphData(workflow)", workflow)
    return read_geometry(page)


def _title_px(classic: Geometry, workflow: dict[str, Any]) -> float:
    """Height of a node's title: its position in the file is below it."""
    node = workflow["nodes"][0]
    return node["pos"][1] - classic.boxes[node["id"]].y


def _report(file: Path, renderer: str, page: Page, workflow: dict[str, Any]) -> int:
    """Say what is still hidden when previews are shown; returns how much."""
    page.evaluate("workflow => app.loadGraphData(workflow)", workflow)
    show_previews(page)
    faults = find_faults(read_geometry(page))
    say(f"{file.name}, {renderer}: {len(faults) or 'nothing'} hidden")
    for fault in faults:
        print(f"      {fault}")
    return len(faults)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
