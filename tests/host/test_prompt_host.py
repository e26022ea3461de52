"""Prompts in the graph: a model that reads words draws by them, and every other model says which node it needs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from devtools.live_server import LiveServer, Run
from prompts import TRANSFORMER, Prompt, node, pixels
from taming.conditioning import Unconditional
from training_prompts import SAMPLING, fresh, recipe, tokenizer
from word_models import SIDE, word_model, write_captioned, write_word_model
from workflow_models import TRAINED_PX

FACTOR = 2  # pixels of a cell
FOLDER = "squares"


@pytest.fixture(scope="module")
def worded(server: LiveServer) -> LiveServer:
    """The server with a random model that reads the words of scenes, one that reads vectors, and captioned pictures."""
    folder = server.base / "models" / "taming_transformers"
    write_word_model(folder)
    write_word_model(folder, "vectors", word_model(Unconditional(null_context=True), context_dim=8))
    write_captioned(server.base / "input" / FOLDER)
    return server


def drawing(condition: dict[str, Any] | None, name: str = "words.safetensors", **sample: Any) -> Prompt:
    """Draw two pictures by what the node `condition` says."""
    prompt = {
        "load": node("TamingLoadTransformer", transformer_name=name),
        "empty": node("TamingEmptyTokens", vqgan=["load", 1], width=SIDE * FACTOR, height=SIDE * FACTOR, batch_size=2),
        "sample": node("TamingSample", transformer=["load", 0], tokens=["empty", 0], **(SAMPLING | sample)),
        "decode": node("TamingDecode", vqgan=["load", 1], tokens=["sample", 0]),
        "show": node("PreviewImage", images=["decode", 0]),
    }
    if condition is not None:
        condition["inputs"]["transformer"] = ["load", 0]
        prompt["condition"] = condition
        prompt["sample"]["inputs"]["condition"] = ["condition", 0]
    return prompt


def by_prompt(prompt: str, **inputs: Any) -> dict[str, Any]:
    return node("TamingPromptCondition", prompt=prompt, **inputs)


def drawn(run: Run) -> np.ndarray:
    assert run.ending == "execution_success", run.error
    return np.stack([pixels(image) for image in run.images["show"]])


def test_the_wording_does_not_matter_and_the_words_do(worded: LiveServer):
    prompts = ["a red boat on the sea", "sea,\nred boats", "a blue boat on the sea"]
    first, second, third = (drawn(worded.watch(drawing(by_prompt(prompt)))) for prompt in prompts)
    assert (first == second).all() and (first != third).any()
    assert len(first) == 2 and (first[0] != first[1]).any()


def test_a_class_name_is_the_prompt_that_it_stands_for(worded: LiveServer):
    by_label = drawing(node("TamingClassCondition", label="alpine, a red boat"))
    first, second = (drawn(worded.watch(drawing(by_prompt(text)))) for text in ("snowy mountains", "a red boat"))
    assert (drawn(worded.watch(by_label)) == np.stack([first[0], second[1]])).all()


def test_guidance_moves_away_from_the_negative_prompt(worded: LiveServer):
    plain, guided, away = (
        drawn(worded.watch(drawing(by_prompt("sea", negative=negative), guidance_scale=scale)))
        for negative, scale in (("boats", 1.0), ("", 3.0), ("boats", 3.0))
    )
    assert (plain != guided).any() and (guided != away).any()


def test_an_empty_prompt_is_as_good_as_none(worded: LiveServer):
    assert (drawn(worded.watch(drawing(by_prompt("")))) == drawn(worded.watch(drawing(None)))).all()


def test_unknown_words_are_named_once_in_the_log(worded: LiveServer):
    assert worded.watch(drawing(by_prompt("a xylophon and a bot"))).ending == "execution_success"
    lines = [line for line in worded.log_tail(60).splitlines() if "xylophon" in line]
    assert len(lines) == 1 and "bot (did you mean boat?)" in lines[0]


@pytest.mark.parametrize(
    ("condition", "name", "error"),
    [
        (by_prompt("cats"), TRANSFORMER, "was trained to draw by class. Use Class Condition (Taming) with it."),
        (by_prompt("sea"), "vectors.safetensors", "was trained to draw by text. Use Text Condition (Taming) with it."),
        (
            node("TamingBoxCondition", boxes={"__value__": []}),
            "words.safetensors",
            "was trained to draw by words. Use Prompt Condition (Taming) with it.",
        ),
    ],
    ids=["a prompt for classes", "a prompt for vectors", "boxes for words"],
)
def test_another_kind_of_model_is_named_with_its_node(worded: LiveServer, condition, name: str, error: str):
    message = worded.watch(drawing({**condition, "inputs": dict(condition["inputs"])}, name)).error
    assert message.startswith(f"transformer: {name}") and error in message


def test_a_model_trained_on_captions_of_a_folder_draws_by_them(worded: LiveServer):
    tiny = ["model.n_embd=32", "model.embd_pdrop=0", "model.resid_pdrop=0"]
    numbers = {"steps": 200, "batch_size": 4, "learning_rate": 5e-3}
    trained = node("TamingTrainTransformer", recipe=["word recipe", 0], vqgan=["train", 0], run=fresh())
    prompt = tokenizer(fresh()) | {
        "recipe": recipe("pictures_vqgan_small", folder=FOLDER),
        "word recipe": recipe("pictures_words_small", *tiny, **numbers, folder=FOLDER),
        "load": trained,
    }
    pictures = []
    for color in ("red", "blue"):
        by_color = drawing(by_prompt(color), temperature=0.0)
        del by_color["load"]
        by_color["empty"]["inputs"] |= {"vqgan": ["train", 0], "width": TRAINED_PX, "height": TRAINED_PX}
        by_color["decode"]["inputs"]["vqgan"] = ["train", 0]
        pictures.append(drawn(worded.watch(prompt | by_color))[0].astype(float))
    assert abs(pictures[0] - pictures[1]).mean() > 4
