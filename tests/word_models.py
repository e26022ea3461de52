"""Tiny transformers that draw by prompts, and pictures with captions to train one on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import save_file

from published import vqgan_weights
from taming.checkpoints import load_vqgan, save_checkpoint
from taming.conditioning import ConditionConfig, WordCondition, WordList, read_word_list
from taming.models import Transformer, TransformerConfig

MAX_WORDS = 6
SIDE = 4  # cells
CODES = 24
COLORS = {"red": "#c02020", "blue": "#2040c0"}


def word_condition(word_list: WordList | None = None, **changes: Any) -> WordCondition:
    classes = {"class_names": ("alpine", "sunset_sea"), "class_prompts": ("snowy mountains", "sea at sunset")}
    words = word_list or read_word_list("scene_words")
    return WordCondition(**{"word_list": words, "max_words": MAX_WORDS, **classes, **changes})


def word_model(condition: ConditionConfig | None = None, std: float = 0.8, **changes: Any) -> Transformer:
    """Weights so large that what comes in matters to what comes out."""
    condition = condition or word_condition()
    sizes = {"vocab_size": CODES, "block_size": MAX_WORDS + SIDE**2 - 1, "n_layer": 2, "n_head": 2, "n_embd": 32}
    n_unmasked = condition.max_words if isinstance(condition, WordCondition) else 0
    sizes |= {"grid": (SIDE, SIDE), "n_unmasked": n_unmasked, "cond_vocab_size": condition.num_cond_tokens}
    model = Transformer(TransformerConfig(**(sizes | changes), condition=condition)).eval()
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=std, generator=generator)
    return model


def write_word_model(folder: Path, name: str = "words", model: Transformer | None = None) -> Path:
    """A transformer that draws scenes by prompts, 8x8 px, or another `model`, with its VQGAN beside it."""
    first_stage = folder / f"{name}_vqgan.safetensors"
    save_file(vqgan_weights(n_embed=CODES), first_stage)
    save_checkpoint(load_vqgan(first_stage), first_stage)
    save_checkpoint(model or word_model(), folder / f"{name}.safetensors", first_stage=first_stage)
    return folder / f"{name}.safetensors"


def write_captioned(folder: Path, count: int = 12, size_px: int = 32) -> Path:
    """Red and blue squares, each with a text file that says so; the last one has none."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        color = list(COLORS)[number % 2]
        Image.new("RGB", (size_px, size_px), COLORS[color]).save(folder / f"{number}.png")
        if number < count - 1:
            (folder / f"{number}.txt").write_text(f"A {color} square, number {number}", encoding="utf-8")
    return folder
