"""What transformers sample, with the tokenizers of their tokens."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from taming import generate_image, get_condition, load_transformer
from taming.conditioning import Condition
from taming.errors import UnsupportedCheckpointError
from taming.models import Transformer, VQModel
from taming.sampling import SamplingOptions

SAMPLE_SEED = 77_000
BATCH = 20

Drawer = tuple[Transformer, VQModel]  # a transformer and the tokenizer of its tokens


def load_drawer(file: Path) -> Drawer | None:
    """A transformer with its tokenizer; None where there is no such model."""
    if not file.exists():
        print(f"\n{file.name}: not measured, there is no such model in {file.parent}")
        return None
    transformer, vqgan = load_transformer(file)
    if vqgan is None:
        raise UnsupportedCheckpointError(f"{file.name} names no tokenizer of its tokens. Save it with first_stage=.")
    return transformer, vqgan


def sampling_option(text: str) -> tuple[str, float]:
    """`NAME=VALUE` of a command line, for SamplingOptions."""
    name, _, value = text.partition("=")
    return name, int(value) if name == "top_k" else float(value)


def prompt_conditions(transformer: Transformer, prompts: Sequence[str]) -> list[Condition]:
    """Conditions of `prompts`, of BATCH each."""
    batches = (list(prompts[start : start + BATCH]) for start in range(0, len(prompts), BATCH))
    return [get_condition(transformer, prompt=batch) for batch in batches]


def draw_samples(
    drawer: Drawer, conditions: Sequence[Condition], settings: Mapping[str, SamplingOptions]
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Sample every condition with every setting: images (B, 3, H, W) in [0, 1], and the seconds that one took."""
    transformer, vqgan = drawer
    drawn, seconds = {}, {}
    for name, options in settings.items():
        options = limit_guidance(options, conditions[0])
        start = time.perf_counter()
        numbered = enumerate(conditions, start=SAMPLE_SEED)
        drawn[name] = torch.cat(
            [generate_image(vqgan, transformer, condition, seed, options=options) for seed, condition in numbered]
        )
        seconds[name] = (time.perf_counter() - start) / len(drawn[name])
    return drawn, seconds


def limit_guidance(options: SamplingOptions, condition: Condition) -> SamplingOptions:
    """Without guidance, if the model was not trained to be guided."""
    return options if condition.null_prefix is not None else replace(options, guidance_scale=1.0)
