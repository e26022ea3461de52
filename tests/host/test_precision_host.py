"""The precision of a transformer's weights in the running server."""

from __future__ import annotations

import numpy as np
import pytest

from devtools.live_server import LiveServer, Run
from prompts import LOAD, SHOW, drawing, node, pixels
from taming.modules.fast.packed_linear import can_pack

KINDS = ("bf16", "fp16", "int8")


def draw(server: LiveServer, precision: str | None, seed: int = 0) -> np.ndarray:
    prompt = drawing(seed=seed)
    if precision is not None:
        prompt[LOAD]["inputs"]["precision"] = precision
    return picture(server.watch(prompt))


def picture(run: Run) -> np.ndarray:
    assert run.ending == "execution_success", run.error
    return pixels(run.images[SHOW][0])


@pytest.fixture(scope="module")
def reference(server: LiveServer) -> np.ndarray:
    """What fp32 draws."""
    return draw(server, "fp32")


@pytest.mark.parametrize("precision", [None, "auto"])
def test_the_default_on_a_cpu_is_fp32(server: LiveServer, reference: np.ndarray, precision: str | None):
    assert np.array_equal(draw(server, precision), reference)


@pytest.mark.parametrize("precision", KINDS)
def test_every_precision_draws_and_the_log_names_what_was_chosen(server: LiveServer, precision: str):
    first = draw(server, precision, seed=4)
    assert first.std() > 5
    chosen = "weights packed in " + (precision if can_pack(precision) else "fp32")
    assert chosen in server.log_tail(200)
    assert np.array_equal(draw(server, precision, seed=4), first)


@pytest.mark.skipif(not can_pack("int8"), reason="no kernels")
def test_what_int8_rounded_is_not_saved(server: LiveServer):
    load = drawing()[LOAD]
    load["inputs"]["precision"] = "int8"
    run = server.watch({LOAD: load, "save": node("TamingSaveTransformer", transformer=[LOAD, 0], filename_prefix="x")})
    assert "loaded in int8, which rounds its weights. Load it in fp32." in run.error
