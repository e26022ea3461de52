"""Weights under the host's memory management: partial loading, dynamic VRAM, running out, and asking for enough.

There is no GPU to run out of here, so each test runs `inside_host.py` in the host's own process and modules, where
the device is emulated: half of the weights on the meta device, layers that own no weights, allocations that fail.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from devtools import ROOT
from devtools.host import Host

SCRIPT = Path(__file__).with_name("inside_host.py")


@pytest.fixture(scope="module")
def facts(comfyui: Host) -> dict[str, Any]:
    """What every scene of the script found, by its name."""
    command = [comfyui.python, SCRIPT, ROOT]
    result = subprocess.run(command, cwd=comfyui.tree, capture_output=True, text=True, timeout=900)
    assert result.returncode == 0, result.stderr[-4000:]
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.parametrize("share", ["0.0", "0.3", "0.7", "1.0"])
def test_a_partly_loaded_model_computes_on_one_device(facts: dict[str, Any], share: str):
    """A weight that the host cannot move, because it is not a layer's, stays behind and crashes the first use."""
    scene = facts["partial"][share]
    assert scene["strays"] == []
    assert scene["grid"] == [1, 8, 8] and scene["picture"] == [1, 3, 64, 64] and scene["logits"] == [2, 1, 1024]


def test_the_check_of_partly_loaded_models_notices_layers_that_the_host_cannot_move(facts: dict[str, Any]):
    assert facts["plain_layers"]


def test_dynamic_vram_gives_the_same_tokens_and_pictures(facts: dict[str, Any]):
    """Layers then own nothing until the file is loaded, and keep the file's own tensors."""
    scene = facts["dynamic"]
    assert scene["is_dynamic"] and scene["started_without_weights"]
    assert scene["same_tokens"] and scene["same_picture"] and scene["same_sample"]


def test_weights_are_built_outside_of_inference_mode_so_that_they_can_be_trained(facts: dict[str, Any]):
    assert facts["trainable"]


def test_the_memory_asked_for_covers_what_is_used(facts: dict[str, Any]):
    for call, (asked, used) in facts["asked_and_used"].items():
        assert used <= asked <= 8 * used, call


def test_the_memory_asked_for_sampling_has_the_cache_twice_with_guidance(facts: dict[str, Any]):
    scene = facts["cache"]
    assert scene["asked"] >= scene["cache_bytes"]
    assert scene["asked_guided"] - scene["asked"] >= scene["cache_bytes"]


def test_a_decoder_that_runs_out_of_memory_goes_on_in_tiles(facts: dict[str, Any]):
    scene = facts["out_of_memory"]
    assert scene["failures"] >= 1 and scene["warnings"] == scene["failures"]
    assert scene["shape"] == [2, 3, 256, 256]
    assert scene["mean_difference"] < 0.08  # of the range of pixels: normalization sees a tile, not the picture


def test_a_cpu_that_is_too_small_is_not_tried(facts: dict[str, Any]):
    scene = facts["small_cpu"]
    assert scene["decoded"] == [1, 3, 256, 256]
    assert scene["encode_error"].startswith("this takes about")


def test_a_batch_that_does_not_fit_is_drawn_in_parts(facts: dict[str, Any]):
    scene = facts["small_for_a_batch"]
    assert scene["equal"]
    counts = [int(message.rsplit(" of 5 pictures", 1)[0].rsplit(" ", 1)[1]) for message in scene["warnings"]]
    assert counts == [3, 2, 3, 2, 1]  # it fits two at a time, then not even one
    assert scene["error"].startswith("tokens: this takes about")


def test_previews_take_a_tenth_of_the_time_and_show_the_batch_at_its_size(facts: dict[str, Any]):
    """They took up to half; what decoding costs is learned on the way, so a little more than the tenth is allowed."""
    scene = facts["preview_time"]
    assert 0 < scene["inside"] <= 0.13 * scene["rest"]
    assert scene["size"] == [2 * 128, 3 * 128]  # five pictures


def test_a_decoder_without_room_for_the_smallest_tile_says_so(facts: dict[str, Any]):
    assert "even for small tiles" in facts["no_room"]


def test_a_linked_name_cannot_leave_the_folder(facts: dict[str, Any]):
    assert len(facts["names_refused"]) == 4
    assert all(said.startswith("vqgan_name: there is no ") for said in facts["names_refused"])


def test_tiles_of_a_decoder_that_sees_one_cell_at_a_time_leave_no_seam(facts: dict[str, Any]):
    assert facts["seams"] < 1e-6


@pytest.mark.parametrize("what", ["decode", "encode"])
def test_cancel_ends_a_picture_before_the_next_operation(facts: dict[str, Any], what: str):
    """It waited for attention, 5 s at 1024 px and 100 s at 2048 on a slow CPU."""
    assert facts["canceled"][what] == []
