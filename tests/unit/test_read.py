"""Reading weights files: every honest container works, every other file is refused in words, nothing ever runs."""

import os
import struct
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

import pytest
import safetensors.torch
import torch

from hostile import UNREADABLE, Hostile
from published import transformer_weights
from taming.checkpoints import read_checkpoint
from taming.errors import CheckpointError

SAVERS = {
    "safetensors": lambda content, path: safetensors.torch.save_file(content, path),
    "zip": torch.save,
    "before_torch_1_6": lambda content, path: torch.save(content, path, _use_new_zipfile_serialization=False),
}


@pytest.fixture
def weights() -> dict[str, torch.Tensor]:
    return transformer_weights()


@pytest.mark.parametrize("extension", ["safetensors", "ckpt", "pt", "bin"])
@pytest.mark.parametrize("container", SAVERS)
def test_every_container_is_told_by_its_content_not_by_its_name(container, extension, weights, tmp_path):
    path = tmp_path / f"model.{extension}"
    SAVERS[container](weights, path)
    read = read_checkpoint(path).state_dict
    assert read.keys() == weights.keys()
    assert all(torch.equal(read[key], weights[key]) for key in weights)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda w: {"state_dict": w, "epoch": 3, "callbacks": {"ModelCheckpoint": {"best_model_path": "x"}}},
        lambda w: {"model": w, "optimizer": {"state": {0: {"exp_avg": torch.zeros(4)}}}, "steps": 7},
        lambda w: {"module": w},
        lambda w: {"vqgan": w},
        lambda w: {"model": {"state_dict": w}},
        lambda w: {"ema": w},
        lambda w: {"state_dict": w, "step": torch.tensor(3)},
        lambda w: OrderedDict(w, version="1.0"),
        lambda w: {key: torch.nn.Parameter(tensor) for key, tensor in w.items()},
    ],
)
def test_wrappers_of_training_programs_are_removed(wrap, weights, tmp_path):
    path = tmp_path / "last.ckpt"
    torch.save(wrap(weights), path)
    read = read_checkpoint(path).state_dict
    assert read.keys() == weights.keys()
    assert not any(tensor.requires_grad for tensor in read.values())


@pytest.mark.parametrize("path_type", [str, Path, os.fspath])
def test_a_name_with_spaces_and_other_alphabets_is_read(path_type, weights, tmp_path):
    path = tmp_path / "my m\u00f6del \ud55c\uae00.ckpt"
    torch.save(weights, path)
    assert len(read_checkpoint(path_type(path)).state_dict) == len(weights)


def test_safetensors_metadata_is_kept(weights, tmp_path):
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file(weights, path, metadata={"license": "MIT"})
    assert read_checkpoint(path).metadata == {"license": "MIT"}


def test_optimizer_state_is_not_read_from_disk(weights, tmp_path):
    """It is twice the weights, and used to be what made a published checkpoint take gigabytes."""
    path = tmp_path / "last.ckpt"
    torch.save({"state_dict": weights, "optimizer_states": [{"state": {0: torch.zeros(2_000_000)}}]}, path)
    read = read_checkpoint(path).state_dict
    assert all(tensor.untyped_storage().nbytes() < 1_000_000 for tensor in read.values())


@pytest.mark.filterwarnings("ignore::UserWarning:torch")
@pytest.mark.parametrize("hostile", UNREADABLE, ids=lambda hostile: hostile.name)
def test_a_bad_file_is_refused_in_words_and_runs_nothing(hostile: Hostile, tmp_path):
    canary = tmp_path / "canary"
    path = hostile.write(tmp_path, canary)
    with pytest.raises(CheckpointError) as error:
        read_checkpoint(path)
    assert hostile.name in str(error.value)
    assert all(words in str(error.value) for words in hostile.words), str(error.value)
    assert "\n" not in str(error.value) and len(str(error.value)) < 600
    assert not canary.exists()


def test_a_header_of_hundreds_of_megabytes_is_refused(tmp_path):
    path = tmp_path / "header.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", 200 * 2**20) + b'{"')
        file.truncate(8 + 200 * 2**20)
    with pytest.raises(CheckpointError, match="header"):
        read_checkpoint(path)


def test_a_folder_and_a_missing_file_are_refused_in_words(tmp_path):
    with pytest.raises(CheckpointError, match="is a folder"):
        read_checkpoint(tmp_path)
    with pytest.raises(CheckpointError, match=r"gone.ckpt does not exist"):
        read_checkpoint(tmp_path / "gone.ckpt")


@pytest.mark.parametrize("container", SAVERS)
def test_a_file_cut_or_altered_anywhere_never_raises_anything_else(container, weights, tmp_path):
    """Every refusal is a CheckpointError; a cut or altered file may also still be readable."""
    path = tmp_path / "model.ckpt"
    SAVERS[container](weights, path)
    content = path.read_bytes()
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        place = int(torch.randint(2000, (), generator=generator))
        altered = bytearray(content)
        altered[place % len(content)] = int(torch.randint(256, (), generator=generator))
        path.write_bytes(bytes(altered))
        with suppress(CheckpointError):
            read_checkpoint(path)
