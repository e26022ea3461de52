"""Several processes that train one model: what one process does, at the same global batch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from recipes import SIZE_PX, VQGAN, write_recipe
from taming.errors import ConfigError
from taming.training.distributed import find_processes

TRAIN = ["-m", "taming", "train"]


def train(folder: Path, num_processes: int, **changes: object) -> tuple[list[dict], dict]:
    """The log and the final state of a run on the CPU."""
    folder.mkdir()
    data = {"count": 12, "held_out": 4, "size_px": SIZE_PX}
    recipe = write_recipe(folder, "vqgan", data=data, evaluate_every=1, **changes)
    launcher = [sys.executable]
    if num_processes > 1:
        launcher += ["-m", "accelerate.commands.launch", "--cpu", "--num_processes", str(num_processes)]
    arguments = [*TRAIN, str(recipe), "--out", str(folder / "run"), "--device", "cpu", "--workers", "1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    result = subprocess.run([*launcher, *arguments], capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr[-2000:]
    rows = [json.loads(line) for line in (folder / "run" / "log.jsonl").read_text().splitlines()]
    return rows, torch.load(folder / "run" / "state.pt", weights_only=True)


@pytest.mark.parametrize("quantizer", ["vq", "ema"])
def test_two_processes_have_the_losses_of_one(quantizer, tmp_path):
    changes = {"phases": [{"steps": 4, "batch_size": 4, "crop_px": 16}], "model": {**VQGAN, "quantizer": quantizer}}
    alone, state = train(tmp_path / "one", 1, **changes)
    together, other = train(tmp_path / "two", 2, **changes)
    assert [row["step"] for row in together] == [1, 2, 3, 4]
    for mine, theirs in zip(alone, together, strict=True):
        assert theirs["l1"] == pytest.approx(mine["l1"], rel=1e-3)  # a latent between two codes may go to either
        assert theirs["psnr"] == pytest.approx(mine["psnr"], rel=5e-3)
    name = "decoder.conv_out.weight"
    torch.testing.assert_close(other["modules"]["vqgan"][name], state["modules"]["vqgan"][name], rtol=1e-2, atol=1e-4)


def test_a_device_that_is_not_here_is_refused_in_words():
    with pytest.raises(ConfigError, match="'meta:9' is not here|'nonsense' is not here"):
        find_processes("nonsense")
