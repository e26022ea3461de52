"""A transformer's tokenizer that is not beside it is found among the files that the caller knows of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from recipes import GPT, VQGAN
from taming.checkpoints import companion_files, plan_transformer, save_checkpoint
from taming.configs import config_from_dict
from taming.errors import CheckpointError, TokensError
from taming.models import Transformer, TransformerConfig, VQModel, VQModelConfig

NAME = "tokenizer.safetensors"


def write_vqgan(path: Path, seed: int) -> Path:
    torch.manual_seed(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(VQModel(config_from_dict(VQModelConfig, {**VQGAN, "quantizer": "vq"}, "model")), path)
    return path


@pytest.fixture
def transformer(tmp_path: Path) -> Path:
    """A transformer whose tokenizer, of seed 0, is in another folder."""
    beside = write_vqgan(tmp_path / "transformers" / NAME, 0)
    path = beside.with_name("transformer.safetensors")
    save_checkpoint(Transformer(config_from_dict(TransformerConfig, GPT, "model")), path, first_stage=beside)
    (tmp_path / "vqgans").mkdir()
    beside.rename(tmp_path / "vqgans" / NAME)
    return path


def among(*files: Path) -> Callable[[str], Sequence[Path]]:
    return lambda name: [file for file in files if file.name == name]


def test_a_tokenizer_elsewhere_is_found(transformer, tmp_path):
    there = tmp_path / "vqgans" / NAME
    plan = plan_transformer(transformer, None, among(there))
    assert plan.first_stage is not None and plan.first_stage.origin.file.path == there
    assert companion_files(transformer, among(there)) == [there]


def test_without_other_places_the_message_is_about_the_one_beside(transformer, tmp_path):
    with pytest.raises(CheckpointError, match=f"needs the tokenizer {NAME}, which is not beside it: put it in"):
        plan_transformer(transformer)
    with pytest.raises(CheckpointError, match=f"needs the tokenizer {NAME}, which is in none of the model folders"):
        plan_transformer(transformer, None, among(tmp_path / "vqgans" / "other.safetensors"))
    assert companion_files(transformer) == companion_files(transformer, among()) == []


@pytest.mark.parametrize("kind", ["another codebook", "damaged", "both"])
def test_what_only_has_its_name_does_not_hide_the_right_one(kind, transformer, tmp_path):
    wrong = [write_vqgan(transformer.with_name(NAME), 1)] if kind != "damaged" else []
    if kind != "another codebook":
        damaged = tmp_path / "damaged" / NAME
        damaged.parent.mkdir()
        damaged.write_bytes(b"")
        wrong.append(damaged)
    right = tmp_path / "vqgans" / NAME
    plan = plan_transformer(transformer, None, among(*wrong, right))
    assert plan.first_stage is not None and plan.first_stage.origin.file.path == right
    assert set(companion_files(transformer, among(*wrong, right))) == {*wrong, right}


def test_another_codebook_alone_is_refused(transformer, tmp_path):
    write_vqgan(tmp_path / "vqgans" / NAME, 1)
    with pytest.raises(TokensError, match="another codebook"):
        plan_transformer(transformer, None, among(tmp_path / "vqgans" / NAME))
