"""Where the nodes of a graph stand: columns by depth, and a search for the heights at which no wire is hidden."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from .geometry import Box, Point, Wire, hidden_px

GAP_PX = 60
STEP_PX = 40  # by which the search moves nodes down
GROUP_PX = 30  # from a group's edge to its nodes
GROUP_TITLE_PX = 50  # so much more at the top
STEPS = 10_000
ATTEMPTS = 4  # the search starts anew so often, unless nothing is hidden before
HEAT, COLD = 20_000.0, 2.0  # the rise in cost that a third of all changes may bring, at the start and at the end
FIRST, NORMAL, LAST = 0, 1, 2  # ranks
MARGIN_PX = 10.0  # from wires to nodes: the renderers draw both a little differently
HIDDEN_COST = 50.0  # of a hidden pixel, against one of a wire's rise


@dataclass(frozen=True)
class Node:
    """A node as the search sees it."""

    id: int
    width: float
    height: float  # with its title, and with the room that its preview takes
    rank: int  # a lower one stands above in its column
    starts: dict[int, Point]  # by link: where it starts, from the node's upper right corner
    ends: dict[int, Point]  # by link: where it ends, from the node's upper left corner


@dataclass
class Block:
    """Columns of nodes and of groups, which are blocks themselves; the whole graph is a block without a title."""

    title: str | None
    columns: list[list[Node | Block]]
    leads: list[list[int]] = field(init=False)  # steps of free room above each item
    rank: int = field(default=NORMAL, init=False)

    def __post_init__(self) -> None:
        self.leads = [[0] * len(column) for column in self.columns]

    def blocks(self) -> Iterator[Block]:
        """This block and those in it."""
        yield self
        for column in self.columns:
            for item in column:
                if isinstance(item, Block):
                    yield from item.blocks()


@dataclass
class Placement:
    """Where everything stands."""

    nodes: dict[int, Node] = field(default_factory=dict)
    boxes: dict[int, Box] = field(default_factory=dict)  # of the nodes
    groups: dict[str, Box] = field(default_factory=dict)  # by title


def make_columns(items: dict[int, Node | Block], links: set[tuple[int, int]]) -> list[list[Node | Block]]:
    """Sort items into columns, each to the right of whatever feeds it.

    Raises:
        ValueError: the links go in a circle.
    """
    depths = dict.fromkeys(items, 0)
    for _ in items:
        for source, target in links:
            depths[target] = max(depths[target], depths[source] + 1)
    if any(depths[source] >= depths[target] for source, target in links):
        raise ValueError("groups feed each other in a circle, so none of them can stand to the left of the others.")
    for key in items:
        followers = [depths[target] for source, target in links if source == key]
        if followers and all(target != key for _, target in links):
            depths[key] = min(followers) - 1  # a source stands beside whatever needs it first
    columns = [[items[key] for key in items if depths[key] == depth] for depth in sorted(set(depths.values()))]
    return [sorted(column, key=lambda item: item.rank) for column in columns]


def arrange(root: Block, links: dict[int, tuple[int, int]]) -> Placement:
    """Move what is in `root` up and down, and past each other, until as little as possible of the links is hidden.

    `links` has the nodes that each link joins. The same graph always gets the same places.
    """
    best = place(root)
    for attempt in range(ATTEMPTS):
        best = min(best, _search(root, links, random.Random(attempt)), key=lambda found: _cost(found, links))
        if _hidden(best, links) == 0:
            break
    return best


def _search(root: Block, links: dict[int, tuple[int, int]], rng: random.Random) -> Placement:
    """Simulated annealing: a change for the worse is accepted less and less often."""
    blocks = [block for block in root.blocks() if block.columns]
    best = placement = place(root)
    lowest = cost = _cost(placement, links)
    for step in range(STEPS):
        undo = _change(rng.choice(blocks), rng)
        placement = place(root)
        changed = _cost(placement, links)
        heat = HEAT * (COLD / HEAT) ** (step / STEPS)
        if changed > cost and rng.random() >= math.exp((cost - changed) / heat):
            undo()
            continue
        cost = changed
        if cost < lowest:
            lowest, best = cost, placement
    return best


def place(root: Block) -> Placement:
    """Say where everything stands with the room that each item has above it."""
    placement = Placement()
    _place(root, 0.0, 0.0, placement)
    return placement


def _place(block: Block, x: float, y: float, placement: Placement) -> Box:
    """Place a block with its upper left corner at (x, y); returns its box."""
    left, top = x, y
    if block.title is not None:
        left, top = x + GROUP_PX, y + GROUP_PX + GROUP_TITLE_PX
    slack = min(leads[0] for leads in block.leads)  # room above every column is none at all
    right, bottom = left, top
    for column, leads in zip(block.columns, block.leads, strict=True):
        down, width = top - slack * STEP_PX, 0.0
        for item, lead in zip(column, leads, strict=True):
            down += lead * STEP_PX
            box = Box(left, down, item.width, item.height) if isinstance(item, Node) else None
            if isinstance(item, Node) and box:
                placement.nodes[item.id], placement.boxes[item.id] = item, box
            elif isinstance(item, Block):
                box = _place(item, left, down, placement)
            assert box is not None
            down, width = box.bottom + GAP_PX, max(width, box.width)
            bottom = max(bottom, box.bottom)
        right = left + width
        left = right + GAP_PX
    if block.title is None:
        return Box(x, y, right - x, bottom - y)
    box = Box(x, y, right + GROUP_PX - x, bottom + GROUP_PX - y)
    placement.groups[block.title] = box
    return box


def wires_of(placement: Placement, links: dict[int, tuple[int, int]]) -> list[Wire]:
    """The links as they run between the places of their nodes."""
    wires = []
    for link, (source, target) in links.items():
        a, b = placement.boxes[source], placement.boxes[target]
        (start_x, start_y), (end_x, end_y) = placement.nodes[source].starts[link], placement.nodes[target].ends[link]
        wires.append(Wire(link, source, target, (a.right + start_x, a.y + start_y), (b.x + end_x, b.y + end_y)))
    return wires


def _cost(placement: Placement, links: dict[int, tuple[int, int]]) -> float:
    rise = sum(abs(wire.start[1] - wire.end[1]) for wire in wires_of(placement, links))
    boxes, groups = placement.boxes.values(), placement.groups.values()
    height = max(box.bottom for box in boxes) - min(box.y for box in boxes) + sum(group.height for group in groups)
    return HIDDEN_COST * _hidden(placement, links) + rise + height


def _hidden(placement: Placement, links: dict[int, tuple[int, int]]) -> float:
    return float(hidden_px(wires_of(placement, links), placement.boxes, MARGIN_PX).sum())


def _change(block: Block, rng: random.Random) -> Callable[[], None]:
    """Change one column of a block at random; returns what takes it back."""
    index = rng.randrange(len(block.columns))
    column, leads = block.columns[index], block.leads[index]
    old_column, old_leads = list(column), list(leads)
    first, second = rng.randrange(len(column)), rng.randrange(len(column))
    if rng.random() < 0.3 and column[first].rank == column[second].rank:
        column[first], column[second] = column[second], column[first]
    else:
        steps = rng.choice((-8, -4, -2, -1, 1, 2, 4, 8))
        moved = max(-leads[first], steps)
        leads[first] += moved
        if first + 1 < len(leads) and rng.random() < 0.5:  # this item alone; what is below stays if it can
            leads[first + 1] = max(0, leads[first + 1] - moved)

    def undo() -> None:
        column[:], leads[:] = old_column, old_leads

    return undo
