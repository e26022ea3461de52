"""Any number over any link: a refusal in words, or work in little memory. The host checks only what is in a widget."""

from __future__ import annotations

import math
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devtools.live_server import LiveServer, Message, Run
from prompts import SAMPLE, TRANSFORMER, Prompt, drawing, node
from taming.text import shorten

MOST_MIB = 1024
LINKS = {"INT": "PrimitiveInt", "FLOAT": "PrimitiveFloat"}
MAKERS = {  # of what is connected to a node beside the number
    "TAMING_VQGAN": ["load", 1],
    "TAMING_TRANSFORMER": ["load", 0],
    "TAMING_TOKENS": ["tokens", 0],
    "TAMING_CONDITION": ["condition", 0],
    "MASK": ["mask", 0],
    "BOUNDING_BOXES,BOUNDING_BOX,ARRAY": {
        "__value__": [{"x": 0, "y": 0, "width": 8, "height": 8, "metadata": {"desc": "tree"}}]
    },
}
SMALL = {"width": 128, "height": 128}


def number_inputs(info: dict[str, Any]) -> list[tuple[str, str, str, dict[str, Any]]]:
    """Every number that a node of the pack takes: node, input, type, and what its schema says of it."""
    return [
        (name, input_name, spec[0], spec[1])
        for name, described in sorted(info.items())
        if name.startswith("Taming")
        for inputs in described["input"].values()
        for input_name, spec in inputs.items()
        if spec[0] in LINKS
    ]


@pytest.fixture(scope="module")
def info(server: LiveServer) -> dict[str, Any]:
    return server.get("/object_info")


def prompt_for(info: dict[str, Any], name: str, **numbers: float) -> Prompt:
    """The node `name` with `numbers` over links and all else as it is when it is new, its result shown as text."""
    inputs: dict[str, Any] = {}
    for described in info[name]["input"].values():
        for input_name, (kind, *options) in described.items():
            default = SMALL.get(input_name, (options[0] if options else {}).get("default"))
            inputs[input_name] = MAKERS.get(kind, default)
    prompt = {
        "load": node("TamingLoadTransformer", transformer_name=TRANSFORMER),
        "empty": node("TamingEmptyTokens", vqgan=["load", 1], width=64, height=64, batch_size=1),
        "tokens": node("TamingPadTokens", tokens=["empty", 0], left=0, top=0, right=0, bottom=0),
        "condition": node("TamingClassCondition", transformer=["load", 0], label="alpine"),
        "mask": node("SolidMask", value=1.0, width=64, height=64),
        "node": node(name, **inputs),
        "show": node("PreviewAny", source=["node", 0]),
    }
    for input_name, number in numbers.items():
        kind = LINKS["FLOAT" if isinstance(number, float) else "INT"]
        prompt[f"link {input_name}"] = node(kind, value=number)
        prompt["node"]["inputs"][input_name] = [f"link {input_name}", 0]
    return prompt


def watch(server: LiveServer, prompt: Prompt) -> Run:
    """Run it, in little memory."""
    before = server.rss_mib()
    run = server.watch(prompt)
    assert server.rss_mib() - before < MOST_MIB
    return run


def test_every_number_of_every_node_has_limits(info: dict[str, Any]):
    found = number_inputs(info)
    assert len(found) > 20
    for *_, spec in found:
        assert -math.inf < spec["min"] < spec["max"] < math.inf


def test_numbers_out_of_limits_are_refused_by_name_over_a_link(server: LiveServer, info: dict[str, Any]):
    """1,125,899,906 px of width took 24 GB in seconds, and the server was killed."""
    for name, input_name, kind, spec in number_inputs(info):
        least, most = spec["min"], spec["max"]
        for number in (least - 1, most + 1, -(2**60), 2**60):
            if abs(number) >= 2**63 or least <= number <= most:  # of seeds: the host's own number node has no more
                continue
            run = watch(server, prompt_for(info, name, **{input_name: float(number) if kind == "FLOAT" else number}))
            allowed = f"from {least:g} to {most:g}" if kind == "FLOAT" else f"from {least} to {most}"
            assert run.error.startswith(f"{input_name} is {shorten(float(number) if kind == 'FLOAT' else number)}; ")
            assert allowed in run.error


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_int_over_any_link_is_refused_in_words_or_works(
    server: LiveServer, info: dict[str, Any], data: st.DataObject
):
    choices = [(name, input_name) for name, input_name, kind, _ in number_inputs(info) if kind == "INT"]
    name, input_name = data.draw(st.sampled_from(choices))
    number = data.draw(st.integers(-(2**63) + 1, 2**63 - 1) | st.integers(-10, 20_000))
    run = watch(server, prompt_for(info, name, **{input_name: number}))
    if run.ending != "execution_success":
        (error,) = run.of("execution_error")
        assert error.data["exception_type"] in ("TamingError", "ConditionError", "ConfigError", "TokensError"), error
        assert run.error.strip().isprintable()


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("TamingEmptyTokens", {"width": 16384, "height": 16384, "batch_size": 4096}),
        ("TamingPadTokens", {"left": 2048, "right": 2048, "top": 2048, "bottom": 2048}),
    ],
)
def test_numbers_that_only_together_are_too_large_are_refused(
    server: LiveServer, info: dict[str, Any], name: str, numbers: dict[str, int]
):
    run = watch(server, prompt_for(info, name, **numbers))
    assert run.error.startswith("There would be ") and "more than the limit of 16777216" in run.error


def test_a_box_of_hundreds_of_digits_is_refused_in_words(server: LiveServer, info: dict[str, Any]):
    prompt = prompt_for(info, "TamingBoxesToMap")
    (box,) = (dict(box) for box in prompt["node"]["inputs"]["boxes"]["__value__"])
    prompt["node"]["inputs"]["boxes"] = {"__value__": [box | {"width": 10**400}]}
    assert watch(server, prompt).error.startswith("boxes, box 1: expected four numbers (x, y, width, height), found [")


@pytest.mark.skipif(psutil.virtual_memory().available < 8 * 2**30, reason="drawing it is refused with less memory")
def test_the_largest_picture_of_the_editor_can_be_begun_and_canceled(server: LiveServer):
    """16384 px: it took 103 s and 3.5 GB before the first token."""

    def cancel(message: Message) -> None:
        if message.kind == "progress" and message.data["node"] == SAMPLE:
            server.interrupt()

    before = server.rss_mib()
    run = server.watch(drawing(side=16384), on_message=cancel)
    assert run.ending == "execution_interrupted", run.error
    assert server.rss_mib() - before < MOST_MIB
