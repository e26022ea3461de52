"""Bad input through the running server: a message that names the input, and a server that goes on."""

from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from devtools import ROOT
from devtools.live_server import LiveServer, Run
from devtools.server import PromptError
from prompts import (
    DECODE,
    EMPTY,
    LABEL,
    LOAD,
    SAMPLE,
    SHOW,
    TRANSFORMER,
    VQGAN,
    Prompt,
    drawing,
    node,
    pixels,
    reconstruction,
)
from taming.checkpoints import save_checkpoint
from taming.models import Transformer, TransformerConfig, VQModel, VQModelConfig

ASSETS = ROOT / "taming" / "assets"
EMBEDDED_VQGAN, EMBEDDED_TRANSFORMER = ASSETS / Path(VQGAN).name, ASSETS / Path(TRANSFORMER).name
TINY = VQModelConfig(
    n_embed=16, embed_dim=4, ch=32, ch_mult=(1, 1), num_res_blocks=1, attn_resolutions=(), z_channels=4
)


class Bomb:
    """A pickle that would write a file where it is loaded."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable, tuple]:
        return Path.touch, (self.target,)


def write_bomb(file: Path) -> None:
    with file.open("wb") as stream:
        pickle.dump({"state_dict": Bomb(file.with_name("exploded"))}, stream)


def write_lying_header(file: Path) -> None:
    header = json.dumps({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}).encode()
    file.write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 64)


def write_changed(file: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = load_file(EMBEDDED_VQGAN)
    change(weights)
    save_file(weights, file)


def first_values(weights: dict[str, torch.Tensor], value: float) -> None:
    weights["decoder.conv_in.bias"][:] = value


BAD_FILES: dict[str, Callable[[Path], object]] = {
    "empty.safetensors": lambda file: file.write_bytes(b""),
    "page.ckpt": lambda file: file.write_bytes(b"<!DOCTYPE html><html><body>404</body></html>"),
    "truncated.safetensors": lambda file: file.write_bytes(EMBEDDED_VQGAN.read_bytes()[:100_000]),
    "lying.safetensors": write_lying_header,
    "renamed.ckpt": lambda file: file.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 1000),
    "bomb.ckpt": write_bomb,
    "nan.safetensors": lambda file: write_changed(file, lambda weights: first_values(weights, float("nan"))),
    "short.safetensors": lambda file: write_changed(file, lambda weights: weights.pop("decoder.conv_in.bias")),
    "shapes.safetensors": lambda file: write_changed(
        file, lambda weights: weights.update({"quant_conv.bias": torch.zeros(7)})
    ),
    "transformer.safetensors": lambda file: file.write_bytes(EMBEDDED_TRANSFORMER.read_bytes()),
}
BAD_CONFIGS = {
    "python.yaml": "model: !!python/object/apply:pathlib.Path.touch [exploded]\n",
    "target.yaml": "model:\n  target: os.system\n  params: {command: 'touch exploded'}\n",
    "list.yaml": "- 1\n- 2\n",
    "other.yaml": "model:\n  target: taming.models.vqgan.VQModel\n  params: {n_embed: 8, embed_dim: 4}\n",
}


@pytest.fixture(scope="module")
def folder(server: LiveServer) -> Path:
    """models/vqgan with a file for every way in which one can be wrong."""
    folder = server.base / "models" / "vqgan"
    folder.mkdir(parents=True, exist_ok=True)
    for name, write in BAD_FILES.items():
        write(folder / name)
    for name, text in BAD_CONFIGS.items():
        (folder / name).write_text(text, encoding="utf-8")
    save_checkpoint(VQModel(TINY), folder / "tiny.safetensors")
    save_checkpoint(VQModel(replace(TINY, ch=256)), folder / "wide.safetensors")
    return folder


def failure(server: LiveServer, prompt: Prompt) -> str:
    """What the failing node says; the server must still draw afterwards."""
    run = server.watch(prompt)
    assert run.ending == "execution_error"
    assert server.watch(reconstruction(16, 16)).ending == "execution_success"
    return run.error


def refusal(server: LiveServer, prompt: Prompt) -> str:
    """What the server says to a prompt that it does not even start."""
    with pytest.raises(PromptError) as raised:
        server.submit(prompt)
    return str(raised.value)


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_weights_file_is_refused_by_name(server: LiveServer, folder: Path, name: str):
    message = failure(server, reconstruction(vqgan_name=name))
    assert message.startswith("vqgan_name: ")
    assert name in message
    assert not (folder / "exploded").exists() and not Path("exploded").exists()


@pytest.mark.parametrize("name", BAD_CONFIGS)
def test_a_bad_configuration_is_refused_by_name(server: LiveServer, folder: Path, name: str):
    prompt = reconstruction()
    prompt[LOAD]["inputs"]["config_name"] = name
    message = failure(server, prompt)
    assert message.startswith(("vqgan_name: ", "config_name: ")) and name in message
    assert not list(server.base.rglob("exploded"))


def test_a_vqgan_in_the_transformer_loader_is_refused(server: LiveServer):
    folder = server.base / "models" / "taming_transformers"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vqgan.safetensors").write_bytes(EMBEDDED_VQGAN.read_bytes())
    prompt = drawing()
    prompt[LOAD]["inputs"]["transformer_name"] = "vqgan.safetensors"
    message = failure(server, prompt)
    assert message.startswith("transformer_name: ") and "vqgan.safetensors" in message


def test_a_transformer_without_its_first_stage_says_where_to_get_one(server: LiveServer):
    folder = server.base / "models" / "taming_transformers"
    folder.mkdir(parents=True, exist_ok=True)
    config = TransformerConfig(vocab_size=1024, block_size=256, n_layer=1, n_head=1, n_embd=8)
    save_checkpoint(Transformer(config), folder / "alone.safetensors")
    prompt = drawing()
    prompt[LOAD]["inputs"]["transformer_name"] = "alone.safetensors"
    prompt[EMPTY]["inputs"]["vqgan"] = ["vqgan", 0]
    prompt["vqgan"] = node("TamingLoadVQGAN", vqgan_name=VQGAN)
    del prompt[LABEL], prompt[SAMPLE]["inputs"]["condition"]
    message = server.watch(prompt).error  # the host goes on with what is not connected to it
    assert "alone.safetensors" in message and "Load VQGAN" in message
    prompt[DECODE]["inputs"]["vqgan"] = ["vqgan", 0]
    prompt[SAMPLE]["inputs"]["seed"] = 1
    prompt[EMPTY]["inputs"] |= {"width": 512, "height": 512}  # long enough to be looked at
    run = server.watch(prompt, preview_method="auto")
    assert run.ending == "execution_success" and run.previews


@pytest.mark.parametrize("name", ["../secret.safetensors", "embedded/../../secret.safetensors", "embedded/none.pt"])
def test_a_name_that_is_not_in_the_list_is_refused(server: LiveServer, name: str):
    assert "not in" in refusal(server, reconstruction(vqgan_name=name))


def test_no_path_stands_before_a_message(server: LiveServer):
    """The editor shows the type of an error before it, and the host says the module with it: a path, for a pack."""
    (error,) = server.watch(drawing("alpin")).of("execution_error")
    assert error.data["exception_type"] == "ConditionError"


def test_guidance_that_was_set_is_refused_by_a_model_without_a_null_condition(server: LiveServer):
    folder = server.base / "models" / "taming_transformers"
    folder.mkdir(parents=True, exist_ok=True)
    config = TransformerConfig(vocab_size=1024, block_size=256, n_layer=1, n_head=1, n_embd=8)
    save_checkpoint(Transformer(config), folder / "unguided.safetensors")
    prompt = drawing(guidance_scale=2.0)
    prompt["plain"] = node("TamingLoadTransformer", transformer_name="unguided.safetensors")
    prompt[SAMPLE]["inputs"]["transformer"] = ["plain", 0]
    del prompt[LABEL], prompt[SAMPLE]["inputs"]["condition"]
    assert "Set guidance_scale to 1" in server.watch(prompt).error
    prompt[SAMPLE]["inputs"]["settings"] = "recommended"
    assert server.watch(prompt).ending == "execution_success"


def test_an_unknown_label_is_answered_with_the_known_ones(server: LiveServer):
    message = failure(server, drawing("alpin"))
    assert message.startswith("This transformer has no class 'alpin'. Did you mean 'alpine'?")
    assert "canyon" in message and message.strip().endswith("Check the input label.")


@pytest.mark.parametrize("label", ["", "99", "-1", ",", "alpine, nowhere"])
def test_a_label_that_means_nothing_is_refused(server: LiveServer, label: str):
    message = failure(server, drawing(label))
    assert message[0].isupper() and "label" in message


def warnings_of(run: Run) -> list[tuple[str, str]]:
    """The node and the text of each warning that reaches the editor."""
    return [(message.data["node"], message.data["message"]) for message in run.of("taming.warning")]


def test_labels_take_turns_in_a_batch_and_those_left_over_are_said_in_the_editor(server: LiveServer):
    """Another number of labels than of pictures was an error."""
    fewer, more = (server.watch(drawing("alpine, beach", batch_size=size)) for size in (3, 1))
    assert [len(run.images[SHOW]) for run in (fewer, more)] == [3, 1]
    assert warnings_of(fewer) == []
    assert warnings_of(more) == [(SAMPLE, "2 labels or prompts for a batch of 1: the last 1 are not used.")]


def test_a_class_transformer_without_a_condition_draws_by_its_null_label(server: LiveServer):
    prompt = drawing()
    del prompt[LABEL], prompt[SAMPLE]["inputs"]["condition"]
    assert server.watch(prompt).ending == "execution_success"


def test_tokens_of_another_tokenizer_are_refused_by_sampler_and_decoder(server: LiveServer, folder: Path):
    prompt = drawing()
    prompt["tiny"] = node("TamingLoadVQGAN", vqgan_name="tiny.safetensors")
    prompt[EMPTY]["inputs"].update(vqgan=["tiny", 0], width=32, height=32)
    assert "Check the input tokens." in failure(server, prompt)
    prompt = reconstruction()
    prompt["tiny"] = node("TamingLoadVQGAN", vqgan_name="tiny.safetensors")
    prompt[DECODE]["inputs"]["vqgan"] = ["tiny", 0]
    message = failure(server, prompt)
    assert message.startswith("tokens: ") and "tiny.safetensors" in message and "scenes_vqgan" in message


def test_empty_tokens_are_not_decoded(server: LiveServer):
    prompt = drawing()
    prompt[DECODE]["inputs"]["tokens"] = [EMPTY, 0]
    message = failure(server, prompt)
    assert message.startswith("tokens: ") and "256" in message and "Sample Tokens" in message


@pytest.mark.parametrize("changes", [{"width": -8}, {"height": -8}, {"width": 10**9}, {"batch_size": 0}])
def test_a_number_out_of_range_is_refused_before_anything_runs(server: LiveServer, changes: dict[str, int]):
    prompt = drawing()
    prompt[EMPTY]["inputs"].update(changes)
    assert next(iter(changes)) in refusal(server, prompt)


@pytest.mark.parametrize(
    ("name", "number"), [("width", -8), ("height", 10**9), ("width", 3), ("batch_size", -1), ("batch_size", 10**9)]
)
def test_a_number_out_of_range_over_a_link_is_refused_before_it_takes_memory(
    server: LiveServer, name: str, number: int
):
    """The server checks only what is in a widget."""
    prompt = drawing()
    prompt["number"] = node("PrimitiveInt", value=number)
    prompt[EMPTY]["inputs"][name] = ["number", 0]
    message = failure(server, prompt)
    assert message.startswith(f"{name} is {number}")


def test_the_size_0_is_that_of_the_model(server: LiveServer):
    prompt = drawing()
    prompt[EMPTY]["inputs"].update(width=0, height=0)
    run = server.watch(prompt)
    assert pixels(run.images[SHOW][0]).shape == (128, 128, 3)


@pytest.mark.parametrize("name", ["temperature", "top_p", "guidance_scale"])
def test_a_number_that_is_none_is_refused(server: LiveServer, name: str):
    """NaN passes the server's own check of the range."""
    message = failure(server, drawing(**{name: "nan"}))
    assert name in message and "nan" in message


def test_a_picture_smaller_than_a_token_is_refused(server: LiveServer):
    message = failure(server, reconstruction(7, 128))
    assert message.startswith("A picture is 7x128 px") and "Check the input image." in message


def test_a_picture_too_large_for_the_memory_is_refused(server: LiveServer, folder: Path):
    """On a CPU nothing recovers from running out of memory; two layers of this picture have 69 GB."""
    message = failure(server, reconstruction(8192, 4096, vqgan_name="wide.safetensors"))
    assert message.startswith("image: ") and "GB" in message


def test_odd_sides_are_cropped_with_one_warning(server: LiveServer):
    before = server.log.read_text(encoding="utf-8").count("cropped")
    run = server.watch(reconstruction(131, 77))
    assert run.ending == "execution_success"
    assert server.log.read_text(encoding="utf-8").count("cropped from 131x77 to 128x72") == 1
    assert [(node, "cropped from 131x77 to 128x72" in text) for node, text in warnings_of(run)] == [("encode", True)]
    assert server.log.read_text(encoding="utf-8").count("cropped") == before + 1


def test_a_picture_with_alpha_is_encoded_without_it(server: LiveServer):
    prompt = reconstruction(64, 64)
    plain = server.watch(prompt)
    prompt["mask"] = node("SolidMask", value=0.5, width=64, height=64)
    prompt["alpha"] = node("JoinImageWithAlpha", image=["image", 0], alpha=["mask", 0])
    prompt["encode"]["inputs"]["image"] = ["alpha", 0]
    with_alpha = server.watch(prompt)
    assert with_alpha.ending == "execution_success", with_alpha.error
    assert [len(images) for images in with_alpha.images.values()] == [len(images) for images in plain.images.values()]


def test_a_batch_keeps_its_order_and_its_number(server: LiveServer):
    prompt = reconstruction(32, 32)
    prompt["black"] = node("EmptyImage", width=32, height=32, batch_size=2, color=0)
    prompt["both"] = node("ImageBatch", image1=["image", 0], image2=["black", 0])
    prompt["encode"]["inputs"]["image"] = ["both", 0]
    assert len(server.watch(prompt).images[SHOW]) == 3
