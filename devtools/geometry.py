"""What stands where in the editor's graph, read from an open page, and what of it is hidden."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from playwright.sync_api import Page

Point = tuple[float, float]

TOUCH_PX = 1.0  # boxes that share less than this are beside each other
SHORT_PX = 12.0  # a wire may disappear for so long: its ends lie a little inside of their nodes
INSET_PX = 4.0  # how far inside a box a wire counts as behind it
OWN_INSET_PX = 16.0  # the same at the two nodes that the wire joins, whose sockets are inside them
CURVE_POINTS = 48
PREVIEWED = ("TamingSample", "TamingTrainVQGAN", "TamingTrainTransformer")
PREVIEW_PX = 256

# Classic nodes are drawn from their position and size below a title; those of Nodes 2.0 are elements of the page.
READ = """() => {
  const { scale, offset } = app.canvas.ds, canvas = app.canvas.canvas.getBoundingClientRect();
  const boxOf = (node) => {
    const element = document.querySelector(`[data-node-id="${node.id}"]`);
    if (!element) {
      const title = LiteGraph.NODE_TITLE_HEIGHT;
      return [node.pos[0], node.pos[1] - title, node.size[0], node.size[1] + title];
    }
    const { x, y, width, height } = element.getBoundingClientRect();
    return [(x - canvas.x) / scale - offset[0], (y - canvas.y) / scale - offset[1], width / scale, height / scale];
  };
  const point = (position) => [position[0], position[1]];
  return {
    nodes: app.graph.nodes.map((node) => [Number(node.id), node.type, boxOf(node)]),
    groups: app.graph.groups.map((group) => [group.title, [...group.pos, ...group.size]]),
    wires: [...app.graph.links.values()].map((link) => {
      const source = app.graph.getNodeById(link.origin_id), target = app.graph.getNodeById(link.target_id);
      const ends = [point(source.getOutputPos(link.origin_slot)), point(target.getInputPos(link.target_slot))];
      return [Number(link.id), Number(link.origin_id), Number(link.target_id), ...ends];
    }),
  };
}"""

# The page takes this event for a live preview that the server has sent.
SHOW_PREVIEWS = """async ([types, side]) => {
  const canvas = new OffscreenCanvas(side, side);
  canvas.getContext("2d").fillRect(0, 0, side, side);
  const blob = await canvas.convertToBlob();
  for (const node of app.graph.nodes.filter((node) => types.includes(node.type))) {
    const id = String(node.id);
    const detail = { blob, nodeId: id, displayNodeId: id, parentNodeId: id, realNodeId: id, jobId: "preview" };
    app.api.dispatchCustomEvent("b_preview_with_metadata", detail);
  }
  for (let frame = 0; frame < 20; frame++) {
    app.canvas.setDirty(true, true); // a classic node takes a preview, loads it and grows when it is drawn
    await new Promise((done) => setTimeout(done, 50));
  }
}"""


@dataclass(frozen=True)
class Box:
    """A rectangle in the graph's coordinates; y grows downwards."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """Its right edge."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """Its lower edge."""
        return self.y + self.height

    def overlap(self, other: Box) -> float:
        """How far the two would have to move apart, at least; not positive when they do not overlap."""
        across = min(self.right, other.right) - max(self.x, other.x)
        return min(across, min(self.bottom, other.bottom) - max(self.y, other.y))

    def contains(self, other: Box) -> bool:
        """Whether `other` is wholly inside."""
        is_across = self.x <= other.x and other.right <= self.right
        return is_across and self.y <= other.y and other.bottom <= self.bottom


@dataclass(frozen=True)
class Wire:
    """A link between two nodes, by its id and theirs."""

    link: int
    source: int
    target: int
    start: Point
    end: Point


@dataclass(frozen=True)
class Geometry:
    """A graph as it is shown."""

    boxes: dict[int, Box]  # of nodes, with their titles
    types: dict[int, str]  # of nodes
    groups: dict[str, Box]  # by title
    wires: tuple[Wire, ...]


@dataclass(frozen=True)
class Fault:
    """Something that cannot be seen, or that is not where it belongs."""

    kind: Literal["overlap", "out of group", "hidden wire"]
    first: str  # a node; the wire's two nodes
    second: str  # a node, or a group
    px: int  # how far

    def __str__(self) -> str:
        return f"{self.kind}: {self.first} / {self.second} ({self.px} px)"


def read_geometry(page: Page, timeout_s: float = 10.0) -> Geometry:
    """Return what the open graph looks like once it has stopped moving."""
    deadline = time.monotonic() + timeout_s
    previous, found = None, page.evaluate(READ)
    while found != previous and time.monotonic() < deadline:
        page.wait_for_timeout(400)
        previous, found = found, page.evaluate(READ)
    return _geometry(found)


def show_previews(page: Page) -> None:
    """Show a live preview on every node that has one while it runs."""
    page.evaluate(SHOW_PREVIEWS, [PREVIEWED, PREVIEW_PX])


def find_faults(geometry: Geometry) -> list[Fault]:
    """Overlapping nodes, nodes that are partly in a group, and wires behind nodes."""
    names = {node: f"{type} {node}" for node, type in geometry.types.items()}
    faults = []
    for (a, first), (b, second) in itertools.combinations(geometry.boxes.items(), 2):
        if first.overlap(second) > TOUCH_PX:
            faults.append(Fault("overlap", names[a], names[b], round(first.overlap(second))))
    for (title, group), (node, box) in itertools.product(geometry.groups.items(), geometry.boxes.items()):
        if group.overlap(box) > TOUCH_PX and not group.contains(box):
            faults.append(Fault("out of group", names[node], title, round(group.overlap(box))))
    hidden = hidden_px(geometry.wires, geometry.boxes)  # (W, N)
    for wire, row in zip(geometry.wires, hidden, strict=True):
        name = f"{names[wire.source]} -> {names[wire.target]}"
        for node, px in zip(geometry.boxes, row, strict=True):
            if px:
                faults.append(Fault("hidden wire", name, names[node], round(px)))
    return faults


def hidden_px(wires: Sequence[Wire], boxes: dict[int, Box], margin_px: float = 0.0) -> np.ndarray:
    """How much of each wire lies behind each node, (W, N); 0 where it is too little to matter.

    With a margin, wires that pass a node so closely count too.
    """
    if not wires:
        return np.zeros((0, len(boxes)))
    points = curves(wires)  # (W, P, 2)
    lengths = np.hypot(*np.moveaxis(np.diff(points, axis=1), -1, 0))  # (W, P - 1)
    middles = (points[:, 1:] + points[:, :-1])[:, None] / 2  # (W, 1, P - 1, 2)
    corners = np.array([[(box.x, box.y), (box.right, box.bottom)] for box in boxes.values()])  # (N, 2, 2)
    is_own = np.array([[node in (wire.source, wire.target) for node in boxes] for wire in wires])
    inset = np.where(is_own, OWN_INSET_PX, INSET_PX)[..., None, None] - margin_px  # (W, N, 1, 1)
    is_inside = (middles > corners[:, :1] + inset) & (middles < corners[:, 1:] - inset)
    hidden = (is_inside.all(axis=-1) * lengths[:, None]).sum(axis=-1)
    return np.where(hidden > SHORT_PX, hidden, 0.0)


def curves(wires: Sequence[Wire]) -> np.ndarray:
    """Points, (W, P, 2), of the splines that the editor draws from the right of a socket to the left of the other."""
    starts, ends = (np.array([getattr(wire, end) for wire in wires])[:, None] for end in ("start", "end"))  # (W, 1, 2)
    reach = np.hypot(*np.moveaxis(ends - starts, -1, 0))[..., None] / 4 * np.array([1.0, 0.0])
    t = np.linspace(0, 1, CURVE_POINTS)[:, None]
    inner = 3 * (1 - t) ** 2 * t * (starts + reach) + 3 * (1 - t) * t**2 * (ends - reach)
    return (1 - t) ** 3 * starts + inner + t**3 * ends


def _geometry(found: dict[str, Any]) -> Geometry:
    wires = [Wire(*ids, start=(start[0], start[1]), end=(end[0], end[1])) for *ids, start, end in found["wires"]]
    return Geometry(
        boxes={node: Box(*box) for node, _, box in found["nodes"]},
        types={node: type for node, type, _ in found["nodes"]},
        groups={title: Box(*box) for title, box in found["groups"]},
        wires=tuple(wires),
    )
