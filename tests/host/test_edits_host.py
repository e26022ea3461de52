"""Forgetting and padding tokens in the running server: what is known stays, what is not is drawn, errors are named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from devtools.host import Host, make_base
from devtools.live_server import LiveServer, Run
from prompts import DECODE, LABEL, LOAD, SAMPLE, SHOW, TRANSFORMER, Prompt, node, pixels

FORGET, MASK, ENCODE = "forget", "mask", "encode"
SIDE = 16  # cells of the embedded model

# A pack of its own in the test's server: no node of the host shows tokens, or makes masks of odd shapes.
PROBE_PACK = """
import torch

class ProbeTokens:
    INPUT_TYPES = classmethod(lambda cls: {"required": {"tokens": ("TAMING_TOKENS",)}})
    RETURN_TYPES, FUNCTION, CATEGORY, OUTPUT_NODE = (), "show", "test", True

    def show(self, tokens):
        return {"ui": {"indices": tokens.indices.tolist(), "known": tokens.known.tolist()}}

class ProbeMask:
    INPUT_TYPES = classmethod(lambda cls: {"required": {"shape": ("STRING",), "value": ("FLOAT",)}})
    RETURN_TYPES, FUNCTION, CATEGORY = ("MASK",), "make", "test"

    def make(self, shape, value):
        return (torch.full([int(side) for side in shape.split(",")], value),)

NODE_CLASS_MAPPINGS = {"ProbeTokens": ProbeTokens, "ProbeMask": ProbeMask}
"""


@pytest.fixture(scope="module")
def probed(comfyui: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server of its own, with the probes beside the pack."""
    base = tmp_path_factory.mktemp("probed")
    make_base(base, comfyui)
    (base / "custom_nodes" / "token_probe.py").write_text(PROBE_PACK, encoding="utf-8")
    server = LiveServer(comfyui, base)
    with server:
        yield server


@dataclass(frozen=True)
class Grids:
    """What a probe saw."""

    indices: np.ndarray  # (B, h, w)
    known: np.ndarray  # (B, h, w) bool


def editing(edit: dict[str, Any] | None = None, *, label: str = "alpine", seed: int = 5, batch_size: int = 1) -> Prompt:
    """Encode the host's example picture, edit the tokens by the node `edit`, fill them in, decode them, show all."""
    tokens = [FORGET if edit else ENCODE, 0]
    settings = {"seed": seed, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "condition": [LABEL, 0]}
    prompt = {
        "file": node("LoadImage", image="example.png"),
        "image": node("ImageScale", image=["file", 0], upscale_method="lanczos", width=128, height=128, crop="center"),
        "images": node("RepeatImageBatch", image=["image", 0], amount=batch_size),
        LOAD: node("TamingLoadTransformer", transformer_name=TRANSFORMER),
        LABEL: node("TamingClassCondition", transformer=[LOAD, 0], label=label),
        ENCODE: node("TamingEncode", vqgan=[LOAD, 1], image=["images", 0]),
        SAMPLE: node("TamingSample", transformer=[LOAD, 0], tokens=tokens, **settings),
        DECODE: node("TamingDecode", vqgan=[LOAD, 1], tokens=[SAMPLE, 0]),
        SHOW: node("PreviewImage", images=[DECODE, 0]),
        "before": node("ProbeTokens", tokens=[ENCODE, 0]),
        "after": node("ProbeTokens", tokens=[SAMPLE, 0]),
    }
    if edit:
        prompt |= {FORGET: edit, "edited": node("ProbeTokens", tokens=[FORGET, 0])}
    return prompt


def forgetting(mask: dict[str, Any] | None = None, *, batch_size: int = 1, **inputs: Any) -> Prompt:
    """Forget what is under the mask that the node `mask` makes, or anywhere."""
    masks = {MASK: mask} if mask else {}
    inputs |= {"mask": [MASK, 0]} if mask else {}
    return editing(node("TamingForgetTokens", tokens=[ENCODE, 0], **inputs), batch_size=batch_size) | masks


def forgetting_lower_half(**inputs: Any) -> Prompt:
    """The same under a mask of the picture's size, made of the host's own nodes."""
    halves = node("MaskComposite", destination=["black", 0], source=["white", 0], x=0, y=64, operation="add")
    return forgetting(halves, **inputs) | {
        "black": node("SolidMask", value=0.0, width=128, height=128),
        "white": node("SolidMask", value=1.0, width=128, height=128),
    }


def grids(run: Run, probe: str) -> Grids:
    assert run.ending == "execution_success", run.error
    seen = run.history["outputs"][probe]
    return Grids(np.array(seen["indices"]), np.array(seen["known"]))


def test_completion_keeps_the_known_half_of_the_tokens_and_draws_the_other(probed: LiveServer):
    run = probed.watch(forgetting_lower_half(batch_size=2))
    before, edited, after = (grids(run, probe) for probe in ("before", "edited", "after"))
    assert edited.known[:, :8].all() and not edited.known[:, 8:].any()
    assert not edited.indices[:, 8:].any()
    assert np.array_equal(after.indices[:, :8], before.indices[:, :8]) and after.known.all()
    assert (after.indices[:, 8:] != before.indices[:, 8:]).mean() > 0.5
    assert (after.indices[0, 8:] != after.indices[1, 8:]).mean() > 0.5


def test_the_picture_of_the_known_half_stays_nearly_as_it_was(probed: LiveServer):
    """Not exactly: the decoder's normalization looks at the whole picture."""
    prompt = forgetting_lower_half()
    prompt[FORGET]["inputs"]["tokens"] = ["drawn", 0]
    prompt["empty"] = node("TamingEmptyTokens", vqgan=[LOAD, 1], width=128, height=128, batch_size=1)
    prompt["drawn"] = {**prompt[SAMPLE], "inputs": {**prompt[SAMPLE]["inputs"], "tokens": ["empty", 0], "seed": 0}}
    prompt["plain"] = node("TamingDecode", vqgan=[LOAD, 1], tokens=["drawn", 0])
    prompt["show plain"] = node("PreviewImage", images=["plain", 0])
    run = probed.watch(prompt)
    before, after = (pixels(run.images[name][0]).astype(int) for name in ("show plain", SHOW))
    change = np.abs(after - before).mean((1, 2))  # (H,)
    assert change[:48].mean() < 6 < 12 < change[72:].mean()


def test_the_empty_mask_of_a_picture_without_transparency_forgets_nothing(probed: LiveServer):
    """Load Image makes it 64x64, whatever the size of the picture."""
    prompt = forgetting()
    prompt[FORGET]["inputs"]["mask"] = ["file", 1]
    before = probed.log.read_text(encoding="utf-8").count("mask is empty")
    run = probed.watch(prompt)
    assert grids(run, "edited").known.all()
    assert np.array_equal(grids(run, "after").indices, grids(run, "before").indices)
    assert probed.log.read_text(encoding="utf-8").count("mask is empty") == before + 1


@pytest.mark.parametrize("shape", ["128,128", "1,3,5", "1,1,128,128", "2,64,64", "1,1000,16"])
def test_a_full_mask_of_any_shape_forgets_all(probed: LiveServer, shape: str):
    run = probed.watch(forgetting(node("ProbeMask", shape=shape, value=1.0), batch_size=2))
    assert not grids(run, "edited").known.any()


def test_strength_is_a_nested_share_of_what_is_forgetting_lower_half(probed: LiveServer):
    less, more = (
        grids(probed.watch(forgetting_lower_half(strength=share, seed=9)), "edited").known[0] for share in (0.25, 0.75)
    )
    assert less[:8].all() and more[:8].all()
    assert [(~known).sum() for known in (less, more)] == [32, 96]
    assert not (more & ~less).any()


def test_a_seed_forgets_the_same_in_any_batch_and_another_seed_forgets_otherwise(probed: LiveServer):
    prompts = [
        forgetting(strength=0.5, seed=3),
        forgetting(strength=0.5, seed=3, batch_size=3),
        forgetting(strength=0.5),
    ]
    alone, batch, other = (grids(probed.watch(prompt), "edited").known for prompt in prompts)
    assert np.array_equal(alone[0], batch[0]) and not np.array_equal(alone[0], other[0])
    assert not np.array_equal(batch[0], batch[1])


def test_patches_are_a_nested_share_and_hang_together(probed: LiveServer):
    less, more = (
        grids(probed.watch(forgetting_lower_half(strength=share, seed=9, patch=3)), "edited").known[0]
        for share in (0.25, 0.75)
    )
    assert less[:8].all() and [(~known).sum() for known in (less, more)] == [32, 96] and not (more & ~less).any()
    scattered = grids(probed.watch(forgetting_lower_half(strength=0.25, seed=9)), "edited").known[0]
    borders = [(known[:, 1:] != known[:, :-1]).sum() for known in (less, scattered)]
    assert borders[0] < 0.6 * borders[1]


def test_growth_takes_the_rows_that_it_reaches(probed: LiveServer):
    for grow, rows in ((0, 8), (1, 7), (8, 7), (9, 6)):
        known = grids(probed.watch(forgetting_lower_half(grow=grow)), "edited").known[0]
        assert known[:rows].all() and not known[rows:].any()


def test_forgetting_twice_unites(probed: LiveServer):
    prompt = forgetting_lower_half(strength=0.5, seed=1)
    prompt["again"] = node("TamingForgetTokens", tokens=[FORGET, 0], strength=0.5, seed=2)
    prompt["alone"] = node("TamingForgetTokens", tokens=[ENCODE, 0], strength=0.5, seed=2)
    for name in ("again", "alone"):
        prompt[f"{name} seen"] = node("ProbeTokens", tokens=[name, 0])
    run = probed.watch(prompt)
    once, again, alone = (grids(run, probe).known for probe in ("edited", "again seen", "alone seen"))
    assert np.array_equal(again, once & alone)


def test_padding_moves_nothing(probed: LiveServer):
    pad = node("TamingPadTokens", tokens=[ENCODE, 0], left=2, top=0, right=5, bottom=3)
    prompt = editing(pad, batch_size=2)
    for name in (SAMPLE, DECODE, SHOW, "after"):
        del prompt[name]
    run = probed.watch(prompt)
    before, edited = grids(run, "before"), grids(run, "edited")
    assert edited.indices.shape == (2, SIDE + 3, 2 + SIDE + 5)
    assert np.array_equal(edited.indices[:, :SIDE, 2 : 2 + SIDE], before.indices)
    assert edited.known[:, :SIDE, 2 : 2 + SIDE].all() and edited.known.sum() == 2 * SIDE * SIDE


def test_outpainting_keeps_the_tokens_and_draws_around_them(probed: LiveServer):
    run = probed.watch(editing(node("TamingPadTokens", tokens=[ENCODE, 0], left=1, top=1, right=2, bottom=0)))
    before, after = grids(run, "before"), grids(run, "after")
    assert after.indices.shape == (1, SIDE + 1, 1 + SIDE + 2) and after.known.all()
    assert np.array_equal(after.indices[:, 1:, 1 : 1 + SIDE], before.indices)
    assert pixels(run.images[SHOW][0]).shape == (8 * (SIDE + 1), 8 * (1 + SIDE + 2), 3)


def test_unknown_tokens_are_not_decoded(probed: LiveServer):
    prompt = forgetting_lower_half()
    prompt[DECODE]["inputs"]["tokens"] = [FORGET, 0]
    message = probed.watch(prompt).error
    assert message.startswith("tokens: 128 of 256 cells are still unknown") and "Sample Tokens" in message


@pytest.mark.parametrize(
    ("shape", "said"), [("3,128,128", "3 masks for a batch of 2"), ("0,64,64", "(0, 64, 64)"), ("1,0,8", "(1, 0, 8)")]
)
def test_a_mask_that_fits_no_batch_is_refused(probed: LiveServer, shape: str, said: str):
    run = probed.watch(forgetting(node("ProbeMask", shape=shape, value=1.0), batch_size=2))
    assert run.ending == "execution_error"
    assert run.error.startswith("mask: ") and said in run.error


def test_a_strength_that_is_no_number_is_refused(probed: LiveServer):
    """NaN passes the server's own check of the range."""
    assert "strength is nan" in probed.watch(forgetting(strength="nan")).error
