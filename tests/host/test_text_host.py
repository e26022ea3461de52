"""Text to image in the graph: captions through the host's own text encoder, in training and in drawing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from devtools.live_server import LiveServer
from prompts import TRANSFORMER, Prompt, node, pixels
from published import vqgan_weights
from taming.checkpoints import load_vqgan, save_checkpoint
from taming.conditioning import Unconditional
from taming.models import Transformer, TransformerConfig
from training_prompts import SAMPLING, fresh, recipe, tokenizer
from workflow_models import TRAINED_PX

CLIP = "random_clip_l.safetensors"
CLIP_WIDTH, CLIP_LAYERS, CLIP_WORDS, CLIP_LENGTH = 768, 12, 49408, 77
OTHER_WIDTH = 32
COLORS = {"red": 0xC02020, "blue": 0x2040C0}
FOLDER = "captioned"
TOKENIZER = "runs/captioned"  # trained once
SIDE, FACTOR = 6, 2  # of the random transformers: cells, and pixels of each


@pytest.fixture(scope="session")
def told(server: LiveServer) -> Iterator[LiveServer]:
    """The server with a text encoder, captioned pictures, and random transformers that attend to text."""
    encoder = server.base / "models" / "text_encoders" / CLIP
    encoder.parent.mkdir(parents=True, exist_ok=True)
    save_file(clip_weights(), encoder)
    write_captioned(server)
    for name, null_context in (("text", True), ("only_text", False)):
        write_transformer(server, name, null_context)
    yield server
    encoder.unlink()  # a quarter of a gigabyte


def clip_weights() -> dict[str, Tensor]:
    """A text encoder as large as CLIP-L, of random numbers: the host builds no smaller one."""
    generator, width = torch.Generator().manual_seed(0), CLIP_WIDTH
    shapes = {"embeddings.token_embedding": (CLIP_WORDS, width), "embeddings.position_embedding": (CLIP_LENGTH, width)}
    norms = ["final_layer_norm"]
    for layer in range(CLIP_LAYERS):
        block = f"encoder.layers.{layer}"
        shapes |= {f"{block}.self_attn.{name}_proj": (width, width) for name in ("q", "k", "v", "out")}
        shapes |= {f"{block}.mlp.fc1": (4 * width, width), f"{block}.mlp.fc2": (width, 4 * width)}
        norms += [f"{block}.layer_norm1", f"{block}.layer_norm2"]
    weights = {}
    for name, shape in shapes.items():
        weights[f"{name}.weight"] = (torch.randn(shape, generator=generator) * 0.02).half()
        if "embedding" not in name:
            weights[f"{name}.bias"] = torch.zeros(shape[0], dtype=torch.float16)
    for name in norms:
        weights[f"{name}.weight"] = torch.ones(width, dtype=torch.float16)
        weights[f"{name}.bias"] = torch.zeros(width, dtype=torch.float16)
    weights = {f"text_model.{key}": weight for key, weight in weights.items()}
    return weights | {"text_projection.weight": torch.eye(width, dtype=torch.float16)}


def caption(color: str) -> str:
    """Words that even an encoder that has learned nothing turns into something else than those of another color."""
    return " ".join([color] * 40)


def write_captioned(server: LiveServer) -> None:
    folder = server.base / "input" / FOLDER
    folder.mkdir(parents=True)
    for number, name in enumerate(["red", "blue"] * 3):
        Image.new("RGB", (TRAINED_PX, TRAINED_PX), f"#{COLORS[name]:06x}").save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text(caption(name), encoding="ascii")


def write_transformer(server: LiveServer, name: str, null_context: bool) -> None:
    """A random transformer that attends to vectors of OTHER_WIDTH, and its VQGAN."""
    folder = server.base / "models" / "taming_transformers"
    first_stage = folder / f"{name}_vqgan.safetensors"
    save_file(vqgan_weights(), first_stage)
    save_checkpoint(load_vqgan(first_stage), first_stage)
    condition = Unconditional(null_context=null_context)
    sizes = {"vocab_size": 24, "block_size": SIDE**2, "n_layer": 1, "n_head": 2, "n_embd": 16, "grid": (SIDE, SIDE)}
    model = Transformer(TransformerConfig(**sizes, context_dim=OTHER_WIDTH, condition=condition))
    save_checkpoint(model, folder / f"{name}.safetensors", first_stage=first_stage)


def words(text: Any) -> dict[str, Any]:
    return node("CLIPTextEncode", clip=["clip", 0], text=text)


ENCODER = {"clip": node("CLIPLoader", clip_name=CLIP, type="stable_diffusion")}


def training(run: str, *more: str, steps: int = 400, **inputs: Any) -> Prompt:
    """Train a tokenizer and a transformer on captioned pictures."""
    pictures = {"data": node("LoadImageTextDataSetFromFolder", folder=FOLDER), "captions": words(["data", 1])}
    tokens = tokenizer(TOKENIZER, images=["data", 0]) | {"recipe": recipe("pictures_vqgan_small", folder="")}
    given = {"images": ["data", 0], "conditioning": ["captions", 0], **inputs}
    tiny = ["model.n_embd=32", "model.embd_pdrop=0", "model.resid_pdrop=0", *more]
    numbers = {"steps": steps, "batch_size": 4, "learning_rate": 5e-3}
    recipes = {"text recipe": recipe("pictures_class_small", *tiny, **numbers, folder="")}
    train = node("TamingTrainTransformer", recipe=["text recipe", 0], vqgan=["train", 0], run=run, **given)
    plot = node("LossGraphNode", loss=["transformer", 1], filename_prefix="loss")
    return {**ENCODER, **pictures, **tokens, **recipes, "transformer": train, "text plot": plot}


def drawing(vqgan: list[Any], side: int, *, is_told: bool, **sample: Any) -> Prompt:
    """Draw with the node "transformer", by node "condition" if it is told something."""
    settings = SAMPLING | {"temperature": 0.0} | sample
    if is_told:
        settings["condition"] = ["condition", 0]
    return {
        "empty": node("TamingEmptyTokens", vqgan=vqgan, width=side, height=side, batch_size=1),
        "sample": node("TamingSample", transformer=["transformer", 0], tokens=["empty", 0], **settings),
        "decode": node("TamingDecode", vqgan=vqgan, tokens=["sample", 0]),
        "show": node("PreviewImage", images=["decode", 0]),
    }


def by_words(text: str) -> Prompt:
    condition = node("TamingTextCondition", transformer=["transformer", 0], conditioning=["told", 0])
    return {"told": words(text), "condition": condition}


def reconstruction(color: str) -> Prompt:
    return {
        "plain": node("EmptyImage", width=TRAINED_PX, height=TRAINED_PX, batch_size=1, color=COLORS[color]),
        "encode": node("TamingEncode", vqgan=["train", 0], image=["plain", 0]),
        "again": node("TamingDecode", vqgan=["train", 0], tokens=["encode", 0]),
        "compare": node("PreviewImage", images=["again", 0]),
    }


def test_a_transformer_that_is_trained_on_captions_draws_by_words_and_also_without(told: LiveServer):
    """Told a color with guidance, it draws what the tokenizer makes of that color."""
    prompt = training(fresh())
    pictures: list[np.ndarray] = []
    for color in COLORS:
        told_so = drawing(["train", 0], TRAINED_PX, is_told=True, guidance_scale=2.0)
        run = told.watch({**prompt, **by_words(caption(color)), **told_so, **reconstruction(color)})
        assert run.ending == "execution_success", run.error
        drawn, wanted = (pixels(run.images[name][0]).astype(float) for name in ("show", "compare"))
        pictures.append(wanted)
        assert abs(drawn - wanted).mean() < 2
    assert abs(pictures[0] - pictures[1]).mean() > 4
    untold = told.watch({**prompt, **drawing(["train", 0], TRAINED_PX, is_told=False, temperature=1.0)})
    assert untold.ending == "execution_success", untold.error


def test_the_node_shows_held_out_pictures_and_what_is_drawn_by_their_words(told: LiveServer):
    run = told.watch(training(fresh(), steps=4), preview_method="auto")
    last = [message for message in run.previews if message.data["node_id"] == "transformer"][-1]
    height, width, _ = pixels(last.image).shape
    assert height > 0.8 * width  # the curve alone is much wider than high


def test_conditioning_without_pictures_is_refused(told: LiveServer):
    prompt = training(fresh())
    del prompt["transformer"]["inputs"]["images"]
    assert told.watch(prompt).error.startswith("conditioning: it tells what images show")


def test_another_number_of_conditionings_than_of_pictures_is_refused(told: LiveServer):
    prompt = training(fresh()) | {"captions": words("red")}
    assert told.watch(prompt).error.startswith("conditioning: 1 for 6 pictures. Give one for each picture.")


def test_classes_and_words_together_are_refused(told: LiveServer):
    assert told.watch(training(fresh(), labels=["data", 1])).error.startswith("labels: a transformer is told")


TOLD_WRONG = {
    "of classes": (TRANSFORMER, "red", f"transformer: {TRANSFORMER} was not trained on text"),
    "of another width": ("text.safetensors", "red", "conditioning: its vectors have 768 numbers, the transformer"),
}


@pytest.mark.parametrize(("name", "text", "error"), TOLD_WRONG.values(), ids=TOLD_WRONG)
def test_words_for_a_transformer_that_cannot_read_them_are_refused(told: LiveServer, name: str, text: str, error: str):
    load = {"transformer": node("TamingLoadTransformer", transformer_name=name)}
    drawn = drawing(["transformer", 1], 128, is_told=True)
    assert told.watch({**ENCODER, **load, **by_words(text), **drawn}).error.startswith(error)


def test_combined_conditionings_are_refused(told: LiveServer):
    load = {"transformer": node("TamingLoadTransformer", transformer_name="text.safetensors")}
    prompt = {**ENCODER, **load, **by_words("red"), **drawing(["transformer", 1], SIDE * FACTOR, is_told=True)}
    prompt["both"] = node("ConditioningCombine", conditioning_1=["told", 0], conditioning_2=["told", 0])
    prompt["condition"]["inputs"]["conditioning"] = ["both", 0]
    assert "conditioning: it holds 2 conditionings" in told.watch(prompt).error


def untold(name: str) -> Prompt:
    load = {"transformer": node("TamingLoadTransformer", transformer_name=name)}
    return load | drawing(["transformer", 1], SIDE * FACTOR, is_told=False)


def test_nothing_need_be_connected_where_a_transformer_was_trained_without_words_too(told: LiveServer):
    assert told.watch(untold("text.safetensors")).ending == "execution_success"
    assert (
        "draws by text and nothing is connected. Connect Text Condition (Taming)."
        in told.watch(untold("only_text.safetensors")).error
    )


def test_a_class_for_a_transformer_that_reads_words_names_the_node_that_it_needs(told: LiveServer):
    prompt = untold("text.safetensors")
    prompt["condition"] = node("TamingClassCondition", transformer=["transformer", 0], label="red")
    prompt["sample"]["inputs"]["condition"] = ["condition", 0]
    assert "was trained to draw by text. Use Text Condition (Taming)" in told.watch(prompt).error
