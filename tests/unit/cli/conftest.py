"""A picture and small models as files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from published import vqgan_weights
from taming import load_vqgan
from taming.checkpoints import save_checkpoint
from taming.conditioning import ClassCondition
from taming.data import render_scene
from taming.models import Transformer, TransformerConfig


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    path = tmp_path / "scene.png"
    Image.fromarray(render_scene(0, 1_000_000).image).save(path)
    return path


@pytest.fixture
def small_vqgan(tmp_path: Path) -> Path:
    """A tokenizer with a codebook of its own."""
    path = tmp_path / "small.safetensors"
    save_file(vqgan_weights(), path)
    return path


@pytest.fixture
def small_transformer(tmp_path: Path, small_vqgan: Path) -> Path:
    """A transformer of three classes over 4x4 tokens, 8x8 px, with its first stage beside it."""
    first_stage, path = tmp_path / "small_first_stage.safetensors", tmp_path / "small_transformer.safetensors"
    save_checkpoint(load_vqgan(small_vqgan), first_stage)
    condition = ClassCondition(num_classes=3, class_names=("cat", "dog", "fish"), null_label=3)
    sizes = {"vocab_size": 24, "block_size": 16, "n_layer": 1, "n_head": 2, "n_embd": 16, "grid": (4, 4)}
    transformer = Transformer(TransformerConfig(**sizes, condition=condition))
    transformer.init_weights(torch.Generator().manual_seed(0))
    save_checkpoint(transformer, path, first_stage=first_stage)
    return path
