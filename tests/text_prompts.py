"""A prompt for every input of a node that takes text."""

from __future__ import annotations

from typing import Any

from prompts import TRANSFORMER, VQGAN, Prompt, node
from training_prompts import SAMPLING, recipe

WORDS, BOXES = "words.safetensors", "boxes.ckpt"  # of word_models and condition_models
MAPS = "embedded/scenes_segmentation_transformer.safetensors"
BOX = {"__value__": [{"x": 0, "y": 0, "width": 512, "height": 512}]}

SOURCES: Prompt = {
    "vqgan": node("TamingLoadVQGAN", vqgan_name=VQGAN),
    "classes": node("TamingLoadTransformer", transformer_name=TRANSFORMER),
    "words": node("TamingLoadTransformer", transformer_name=WORDS),
    "boxes": node("TamingLoadTransformer", transformer_name=BOXES),
    "maps": node("TamingLoadTransformer", transformer_name=MAPS),
    "empty": node("TamingEmptyTokens", vqgan=["classes", 1], width=16, height=16, batch_size=1),
    "image": node("EmptyImage", width=32, height=32, batch_size=1, color=0x6080A0),
    "recipe": recipe(steps=1),
    "class recipe": recipe("pictures_class_small", steps=1),
}
# The nodes that take text, with all that they need; an input with a text here is one that takes text.
NODES: dict[str, dict[str, Any]] = {
    "TamingLoadVQGAN": {"vqgan_name": VQGAN, "config_name": "auto"},
    "TamingLoadTransformer": {"transformer_name": TRANSFORMER, "config_name": "auto", "precision": "auto"},
    "TamingClassCondition": {"transformer": ["classes", 0], "label": ""},
    "TamingPromptCondition": {"transformer": ["words", 0], "prompt": "", "negative": ""},
    "TamingBoxesToMap": {"boxes": BOX, "palette": "scenes", "labels": "sky", "background": ""},
    "TamingImageCondition": {"transformer": ["maps", 0], "image": ["image", 0], "palette": "auto"},
    "TamingBoxCondition": {"transformer": ["boxes", 0], "boxes": BOX, "labels": ""},
    "TamingSample": {"transformer": ["classes", 0], "tokens": ["empty", 0], "settings": "recommended", **SAMPLING},
    "TamingRecipe": recipe()["inputs"],
    "TamingTrainVQGAN": {"recipe": ["recipe", 0], "run": "vqgan"},
    "TamingTrainTransformer": {
        **{"recipe": ["class recipe", 0], "vqgan": ["vqgan", 0], "images": ["image", 0]},
        **{"run": "transformer", "labels": ""},
    },
    "TamingSaveVQGAN": {"vqgan": ["vqgan", 0], "filename_prefix": ""},
    "TamingSaveTransformer": {"transformer": ["classes", 0], "filename_prefix": ""},
}
TEXT_INPUTS = [(name, key) for name, inputs in NODES.items() for key, value in inputs.items() if isinstance(value, str)]
OUTPUT_NODES = ("TamingSaveVQGAN", "TamingSaveTransformer")


def with_text(name: str, input_name: str, text: str) -> Prompt:
    """A prompt that hands `text` to an input of a node over a link, where the host does not look at it."""
    prompt = {
        **SOURCES,
        "text": node("PrimitiveString", value=text),
        "any": node("ComfySwitchNode", switch=True, on_true=["text", 0], on_false=["text", 0]),  # a combo takes that
        "tested": node(name, **(NODES[name] | {input_name: ["any", 0]})),
    }
    if name not in OUTPUT_NODES:
        prompt["show"] = node("PreviewAny", source=["tested", 0])
    return prompt
