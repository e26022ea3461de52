"""How `devtools.layout` arranges a graph, without an editor."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from devtools.arrangement import GAP_PX, LAST, NORMAL, Block, Node, arrange, make_columns, wires_of
from devtools.geometry import Box, Geometry, Wire, hidden_px
from devtools.layout import BARS_PX, READABLE, lay_out

# loader 1 feeds condition 2, tokens 3, sampler 4 and decoder 5
LINKS = {1: (1, 2), 2: (1, 3), 3: (1, 4), 4: (2, 4), 5: (3, 4), 6: (1, 5), 7: (4, 5)}


@pytest.fixture(autouse=True)
def short_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph of five nodes needs less than a workflow."""
    monkeypatch.setattr("devtools.arrangement.STEPS", 200)


def node(id: int, *, rank: int = NORMAL) -> Node:
    outgoing = [link for link, (source, _) in LINKS.items() if source == id]
    incoming = [link for link, (_, target) in LINKS.items() if target == id]
    starts = {link: (0.0, 45.0 + 20 * row) for row, link in enumerate(outgoing)}
    return Node(id, 300, 180, rank, starts, {link: (0.0, 45.0 + 20 * row) for row, link in enumerate(incoming)})


def graph() -> Block:
    items: dict[int, Node | Block] = {id: node(id, rank=LAST if id == 4 else NORMAL) for id in range(1, 6)}
    return Block(None, make_columns(items, set(LINKS.values())))


def test_wires_past_a_column_are_brought_into_the_open():
    placement = arrange(graph(), LINKS)
    assert not hidden_px(wires_of(placement, LINKS), placement.boxes).any()


def test_every_node_stands_to_the_right_of_whatever_feeds_it_and_apart_from_all():
    boxes = arrange(graph(), LINKS).boxes
    assert all(boxes[target].x - boxes[source].right >= GAP_PX for source, target in LINKS.values())
    assert all(a.overlap(b) <= -GAP_PX for a, b in itertools.combinations(boxes.values(), 2))


def test_a_sampler_is_last_in_its_column():
    items: dict[int, Node | Block] = {4: node(4, rank=LAST), 5: node(5)}
    assert [[item.id for item in column if isinstance(item, Node)] for column in make_columns(items, set())] == [[5, 4]]


def test_a_source_stands_beside_what_it_feeds():
    columns = make_columns({id: node(id) for id in (1, 2, 3, 4)}, {(1, 2), (2, 3), (4, 3)})
    assert [[item.id for item in column if isinstance(item, Node)] for column in columns] == [[1], [2, 4], [3]]


def test_a_group_holds_its_nodes_and_no_others():
    group = Block("inside", [[node(2)], [node(4)]])
    placement = arrange(Block(None, [[node(1)], [group, node(3)], [node(5)]]), LINKS)
    box = placement.groups["inside"]
    assert {id for id, other in placement.boxes.items() if box.contains(other)} == {2, 4}
    assert all(box.overlap(placement.boxes[id]) <= 0 for id in (1, 3, 5))


def test_groups_that_feed_each_other_are_refused():
    with pytest.raises(ValueError, match="circle"):
        make_columns({1: node(1), 2: node(2)}, {(1, 2), (2, 1)})


def test_a_wire_is_hidden_by_a_node_in_its_way_and_by_its_own_when_it_runs_back():
    boxes = {1: Box(0, 0, 100, 100), 2: Box(200, 0, 100, 100), 3: Box(400, 0, 100, 100)}
    past, beside = Wire(1, 1, 3, (100, 50), (400, 50)), Wire(2, 1, 2, (100, 50), (200, 50))
    assert hidden_px([past, beside], boxes) == pytest.approx(np.array([[0, 92, 0], [0, 0, 0]]), abs=8)
    below = {1: Box(0, 0, 200, 100), 2: Box(0, 160, 400, 200)}
    assert hidden_px([Wire(3, 1, 2, (200, 50), (0, 200))], below)[0, 0] > 0


def test_a_workflow_keeps_its_groups_and_its_note_and_leaves_room_for_a_preview():
    group = {"title": "Draw", "bounding": [-10, -50, 500, 900]}
    places = {1: (900, 0), 2: (0, 0), 3: (0, 300), 4: (0, 600)}
    types = {1: "MarkdownNote", 2: "TamingLoadTransformer", 3: "TamingSample", 4: "TamingDecode"}
    nodes = [{"id": id, "type": types[id], "pos": list(places[id]), "size": [300, 100]} for id in places]
    nodes[1]["pos"] = [-600, 0]
    workflow = {"nodes": nodes, "links": [[1, 2, 0, 3, 0, "A"], [2, 3, 0, 4, 0, "B"]], "groups": [group]}
    workflow["extra"] = {}
    boxes = {node["id"]: Box(node["pos"][0], node["pos"][1] - 30, 300, 130) for node in nodes}
    wires = (Wire(1, 2, 3, (-300, 40), (0, 340)), Wire(2, 3, 4, (300, 340), (0, 640)))
    lay_out(workflow, [Geometry(boxes, types, {"Draw": Box(*group["bounding"])}, wires)])
    note, loader, sample, decode = nodes
    assert note["pos"][0] == loader["pos"][0]
    assert note["pos"][1] + note["size"][1] <= loader["pos"][1] - GAP_PX
    assert (note["size"], sample["size"]) == ([300, 100], [300, 100])
    bounding = Box(*workflow["groups"][0]["bounding"])
    assert bounding.contains(Box(*sample["pos"], 300, 100 + 320))
    assert bounding.contains(Box(*decode["pos"], 300, 100))
    assert bounding.x - (loader["pos"][0] + 300) >= GAP_PX
    view = workflow["extra"]["ds"]
    assert READABLE <= view["scale"] <= 1
    assert (note["pos"][0] + view["offset"][0]) * view["scale"] == pytest.approx(BARS_PX[0], abs=1)
