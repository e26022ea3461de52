"""Who may read what is saved: whoever may read any other new file."""

import os
from pathlib import Path

import pytest
import torch

from published import vqgan_weights
from taming.checkpoints import convert_checkpoint, load_vqgan, save_checkpoint

posix_only = pytest.mark.skipif(os.name != "posix", reason="only POSIX has file modes")


@pytest.fixture(params=[0o022, 0o002, 0o077], ids=oct)
def plain_mode(request: pytest.FixtureRequest, tmp_path: Path):
    """The mode of a file that open() makes, under several masks of the user."""
    before = os.umask(request.param)
    (tmp_path / "plain").write_bytes(b"")
    yield (tmp_path / "plain").stat().st_mode
    os.umask(before)


@posix_only
def test_a_model_is_as_readable_as_any_new_file_whatever_was_there(tmp_path: Path, plain_mode: int):
    """safetensors makes files that only their owner may read; ComfyUI may run under another account."""
    checkpoint, saved, converted = tmp_path / "a.ckpt", tmp_path / "saved.safetensors", tmp_path / "b.safetensors"
    torch.save({"state_dict": vqgan_weights()}, checkpoint)
    converted.write_bytes(b"an old file")
    converted.chmod(0o600)
    save_checkpoint(load_vqgan(checkpoint), saved)
    convert_checkpoint(checkpoint, converted)
    assert [oct(path.stat().st_mode) for path in (saved, converted)] == [oct(plain_mode)] * 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.ckpt", "b.safetensors", "plain", "saved.safetensors"]
