"""What tests of the command line share: pictures as it reads them, and refusals as it prints them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from taming.cli import main

VQGAN = "embedded/scenes_vqgan.safetensors"


def pixels_of(path: Path) -> torch.Tensor:
    return torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)[None].float() / 127.5 - 1


def refusal(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What is said about arguments that must not work: one error, no traceback, exit status 1."""
    capsys.readouterr()
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and "Traceback" not in error
    return error
