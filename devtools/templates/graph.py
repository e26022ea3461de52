"""A workflow as it is written down: nodes by name with what they are given, a note, groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from ..workflows import input_specs

NOTE_COLORS = {"color": "#432", "bgcolor": "#653"}
SIZE_PX = (270, 60)  # of a node, at least
SIZES_PX = {  # of those that show something, and of those that have little to show
    "MarkdownNote": (400, 300),
    "TamingEncode": (200, 60),
    "TamingDecode": (200, 60),
    "RepeatImageBatch": (210, 60),
    "ImageScaleBy": (230, 60),
    "LoadImage": (270, 340),
    "SaveImage": (400, 460),
    "PreviewImage": (270, 300),
    "ImageStitch": (230, 60),
    "TamingPromptCondition": (380, 200),
    "TamingTrainVQGAN": (480, 400),
    "TamingTrainTransformer": (480, 400),
    "TamingBoxesToMap": (420, 560),
    "TamingBoxCondition": (420, 560),
}


def box(x: int, y: int, width: int, height: int, what: str) -> dict[str, Any]:
    """A box in pixels as the editor's box widget keeps it."""
    place = {"x": x, "y": y, "width": width, "height": height}
    return place | {"metadata": {"type": "obj", "text": "", "desc": what, "palette": []}}


@dataclass(frozen=True)
class Output:
    """One output of a node, as another node's input takes it."""

    node: int
    slot: int
    type: str


@dataclass(frozen=True)
class Added:
    """A node of a graph; `added["IMAGE"]` is its output of that name."""

    id: int
    outputs: dict[str, Output]

    def __getitem__(self, name: str) -> Output:
        return self.outputs[name]

    @property
    def output(self) -> Output:
        """Its only output."""
        (output,) = self.outputs.values()
        return output


@dataclass
class Graph:
    """A workflow that grows node by node, in the order that they are added in.

    `object_info` is what the server says about its node types: it knows inputs, outputs, and what is a widget.
    """

    name: str
    object_info: dict[str, Any]
    is_app: bool = False  # it opens in the editor's app mode
    nodes: list[dict[str, Any]] = field(default_factory=list)
    links: list[list[Any]] = field(default_factory=list)
    open_links: list[list[Any]] = field(default_factory=list)  # from what is no node of this graph
    groups: list[dict[str, Any]] = field(default_factory=list)
    app_inputs: list[list[Any]] = field(default_factory=list)  # node and widget, in the order that an app shows them
    app_outputs: list[int] = field(default_factory=list)
    _group: int = 0  # the group that nodes are added to; 0 is none

    def note(self, text: str) -> None:
        """Add the note that is read first."""
        self._append("MarkdownNote", "Start here", [text], **NOTE_COLORS)

    def add(
        self,
        type: str,
        title: str | None = None,
        *,
        control: str = "fixed",
        models: Sequence[dict[str, str]] = (),
        size: tuple[int, int] | None = None,
        **values: Any,
    ) -> Added:
        """Add a node; what is not given keeps the node's default.

        Args:
            control: what the editor does to the seed after a run: fixed or randomize.
            models: files for the editor to offer for download: name, url and directory of each.
            size: in px, at least, if not as large as others of its type.
            values: by input: an `Output` of another node, or a widget's value.

        Raises:
            ValueError: the node has no such input.
        """
        info = self.object_info[type]
        specs = list(input_specs(info))
        if unknown := values.keys() - {spec.name for spec in specs}:
            raise ValueError(f"{type} has no input {', '.join(sorted(unknown))}.")
        node = self._append(type, title, [])
        node["size"] = list(size or node["size"])
        for spec in specs:
            value = values.get(spec.name, spec.default)
            if spec.is_widget:
                node["widgets_values"].append(spec.default if isinstance(value, Output) else value)
                if spec.has_control:
                    node["widgets_values"].append(control)
            if isinstance(value, Output) or not spec.is_widget:
                socket = {"name": spec.name, "type": spec.type, "link": None}
                socket |= {"shape": 7} if spec.is_optional else {}
                socket |= {"widget": {"name": spec.name}} if spec.is_widget else {}
                if isinstance(value, Output):
                    socket["link"] = self._link(value, node["id"], len(node["inputs"]))
                node["inputs"].append(socket)
        kinds = list(zip(info["output_name"], info["output"], strict=True))
        node["outputs"] = [{"name": name, "type": kind, "links": []} for name, kind in kinds]
        pack = "taming-tokens" if type.startswith("Taming") else "comfy-core"
        node["properties"] = {"cnr_id": pack, "Node name for S&R": type}
        node["properties"] |= {"models": list(models)} if models else {}
        return Added(node["id"], {name: Output(node["id"], slot, kind) for slot, (name, kind) in enumerate(kinds)})

    @contextmanager
    def group(self, title: str) -> Iterator[None]:
        """Put what is added in the `with` block into a group."""
        self.groups.append({"id": len(self.groups) + 1, "title": title, "bounding": [0, 0, 1, 1], "flags": {}})
        self._group = len(self.groups)
        try:
            yield
        finally:
            self._group = 0

    def show_in_app(self, *inputs: tuple[Added, str], output: Added) -> None:
        """Say which widgets and which result the editor's app mode shows."""
        self.app_inputs = [[node.id, name] for node, name in inputs]
        self.app_outputs = [output.id]

    def workflow(self) -> dict[str, Any]:
        """The workflow in the editor's format, with every node of a group at that group's corner, to be laid out."""
        for link, source, slot, *_ in self.links:
            next(node for node in self.nodes if node["id"] == source)["outputs"][slot]["links"].append(link)
        extra: dict[str, Any] = {"ds": {"scale": 0.7, "offset": [480, 120]}}
        if self.app_outputs:
            extra |= {"linearMode": self.is_app, "linearData": {"inputs": self.app_inputs, "outputs": self.app_outputs}}
        return {
            "id": str(uuid5(NAMESPACE_URL, f"taming-tokens/{self.name}")),
            "revision": 0,
            "last_node_id": len(self.nodes),
            "last_link_id": len(self.links) + len(self.open_links),
            "nodes": self.nodes,
            "links": self.links,
            "groups": self.groups,
            "config": {},
            "extra": extra,
            "version": 0.4,
        }

    def _append(self, type: str, title: str | None, values: list[Any], **more: Any) -> dict[str, Any]:
        node = {
            "id": len(self.nodes) + 1,
            "type": type,
            "pos": [self._group * 100, 0],
            "size": list(SIZES_PX.get(type, SIZE_PX)),
            "flags": {},
            "order": len(self.nodes),
            "mode": 0,
            "inputs": [],
            "outputs": [],
            "properties": {},
            "widgets_values": values,
            **more,
        }
        if title:
            node["title"] = title
        if self._group:
            self.groups[self._group - 1]["bounding"] = [self._group * 100, 0, 1, 1]
        self.nodes.append(node)
        return node

    def _link(self, source: Output, target: int, slot: int) -> int | None:
        """Join two sockets; the target does not know of an open link."""
        link = [len(self.links) + len(self.open_links) + 1, source.node, source.slot, target, slot, source.type]
        is_open = all(node["id"] != source.node for node in self.nodes)
        (self.open_links if is_open else self.links).append(link)
        return None if is_open else link[0]
