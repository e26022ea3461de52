"""Inputs that no node has, and pictures and masks with values that are none, through the running server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from devtools.host import Host, make_base
from devtools.live_server import LiveServer
from prompts import DECODE, LOAD, SHOW, drawing, node, reconstruction

PROBE_PACK = """
import torch

class ProbeBroken:
    INPUT_TYPES = classmethod(lambda cls: {"required": {"value": ("STRING",), "batch_size": ("INT",)}})
    RETURN_TYPES, FUNCTION, CATEGORY = ("IMAGE", "MASK"), "make", "test"

    def make(self, value, batch_size):
        image = torch.full((batch_size, 128, 128, 3), 0.5)
        image[-1, 5, 7, 1] = float(value)
        return image, image[..., 1]

NODE_CLASS_MAPPINGS = {"ProbeBroken": ProbeBroken}
"""


@pytest.fixture(scope="module")
def probed(comfyui: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server of its own, with a node that fails as a VAE in half precision does."""
    base = tmp_path_factory.mktemp("probed")
    make_base(base, comfyui)
    (base / "custom_nodes" / "broken_probe.py").write_text(PROBE_PACK, encoding="utf-8")
    with LiveServer(comfyui, base) as server:
        yield server


def failure(server: LiveServer, prompt: dict) -> str:
    run = server.watch(prompt)
    assert run.ending == "execution_error"
    return run.error


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_a_picture_with_nan_in_it_is_refused_by_its_number(probed: LiveServer, value: str):
    """It was encoded without a word."""
    prompt = reconstruction()
    prompt["image"] = node("ProbeBroken", value=value, batch_size=3)
    message = failure(probed, prompt)
    assert message.startswith("image: it has values that are NaN or infinite (picture 3 of 3).")


def test_a_mask_with_nan_in_it_is_refused(probed: LiveServer):
    prompt = reconstruction()
    prompt["broken"] = node("ProbeBroken", value="nan", batch_size=1)
    prompt["forget"] = node("TamingForgetTokens", tokens=["encode", 0], mask=["broken", 1])
    prompt[DECODE]["inputs"]["tokens"] = ["forget", 0]
    assert "mask" in (message := failure(probed, prompt)) and "NaN" in message


def test_a_link_to_an_input_that_a_node_does_not_have_is_refused_by_its_name(probed: LiveServer):
    """Python's own words were given: execute() got an unexpected keyword argument."""
    prompt = reconstruction()
    prompt["encode"]["inputs"]["sharpness"] = ["image", 0]
    message = failure(probed, prompt)
    assert message.startswith("Encode to Tokens has no input sharpness") and "vqgan, image" in message


def test_a_value_of_an_input_that_a_node_does_not_have_changes_nothing(probed: LiveServer):
    """The host itself leaves such values out; a prompt of a later version may have them."""
    prompt = drawing()
    prompt[LOAD]["inputs"]["later"] = 3
    assert probed.watch(prompt).images[SHOW]
