"""A server for what transformers are told, with what no node of the host shows or makes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from condition_models import write_models
from devtools.host import Host, make_base
from devtools.live_server import LiveServer

# No node of the host shows tokens, or makes pictures of odd shapes.
PROBE_PACK = """
import torch

class ProbeTokens:
    INPUT_TYPES = classmethod(lambda cls: {"required": {"tokens": ("TAMING_TOKENS",)}})
    RETURN_TYPES, FUNCTION, CATEGORY, OUTPUT_NODE = (), "show", "test", True

    def show(self, tokens):
        return {"ui": {"indices": tokens.indices.tolist()}}

class ProbeImage:
    INPUT_TYPES = classmethod(lambda cls: {"required": {"values": ("STRING",), "shape": ("STRING",)}})
    RETURN_TYPES, FUNCTION, CATEGORY = ("IMAGE",), "make", "test"

    def make(self, values, shape):
        shape = [int(side) for side in shape.split(",")]
        return (torch.tensor([float(value) for value in values.split()]).view(shape),)

class ProbeBoxes:
    INPUT_TYPES = classmethod(lambda cls: {"required": {"boxes": ("STRING",)}})
    RETURN_TYPES, FUNCTION, CATEGORY = ("BOUNDING_BOX",), "make", "test"

    def make(self, boxes):
        import json
        return (json.loads(boxes),)

NODE_CLASS_MAPPINGS = {"ProbeTokens": ProbeTokens, "ProbeImage": ProbeImage, "ProbeBoxes": ProbeBoxes}
"""


@pytest.fixture(scope="package")
def probed(comfyui: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server of its own, with the probes beside the pack and a model of every kind in its folder."""
    base = tmp_path_factory.mktemp("conditions")
    make_base(base, comfyui)
    (base / "custom_nodes" / "condition_probe.py").write_text(PROBE_PACK, encoding="utf-8")
    write_models(base / "models" / "taming_transformers")
    server = LiveServer(comfyui, base)
    with server:
        yield server
