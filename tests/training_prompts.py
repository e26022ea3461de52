"""Prompts that train in miniature."""

from __future__ import annotations

import itertools
from typing import Any

from prompts import Prompt, node
from workflow_models import PICTURES, TINY_TRANSFORMER, TINY_VQGAN, TRAINED_PX

NAMES = itertools.count()
SAMPLING = {"seed": 0, "temperature": 1.0, "top_k": 0, "top_p": 1.0}


def fresh() -> str:
    """A run's name that no other test has."""
    return f"runs/{next(NAMES)}"


def recipe(preset: str = "pictures_vqgan_small", *more: str, steps: int = 4, **inputs: Any) -> dict[str, Any]:
    overrides = [*(TINY_VQGAN if "vqgan" in preset else TINY_TRANSFORMER), *more]
    numbers = {"steps": steps, "batch_size": 2, "learning_rate": 0.0, "size_px": TRAINED_PX}
    given = {"preset": preset, "folder": PICTURES, **numbers, "overrides": "\n".join(overrides), **inputs}
    return node("TamingRecipe", **given)


def tokenizer(run: str, **train: Any) -> Prompt:
    """Train a tiny tokenizer; its losses are plotted, and that is a picture."""
    return {
        "recipe": recipe(),
        "train": node("TamingTrainVQGAN", recipe=["recipe", 0], run=run, **train),
        "plot": node("LossGraphNode", loss=["train", 1], filename_prefix="loss"),
    }


def class_model(vqgan: list[Any], run: str, **train: Any) -> Prompt:
    """Train a tiny transformer on the tokens of `vqgan` and draw with it."""
    return {
        "class recipe": recipe("pictures_class_small"),
        "transformer": node("TamingTrainTransformer", recipe=["class recipe", 0], vqgan=vqgan, run=run, **train),
        "empty": node("TamingEmptyTokens", vqgan=vqgan, width=TRAINED_PX, height=TRAINED_PX, batch_size=1),
        "sample": node("TamingSample", transformer=["transformer", 0], tokens=["empty", 0], **SAMPLING),
        "decode": node("TamingDecode", vqgan=vqgan, tokens=["sample", 0]),
        "show": node("PreviewImage", images=["decode", 0]),
    }


def told(prompt: Prompt, label: str) -> Prompt:
    """The prompt of a class model with a class to draw."""
    prompt["label"] = node("TamingClassCondition", transformer=["transformer", 0], label=label)
    prompt["sample"]["inputs"]["condition"] = ["label", 0]
    return prompt
