"""The fast paths are optional: a copy of the library without them samples and decodes the same."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import torch

from repository import ROOT

SCRIPT = """
import sys
import torch
from taming import get_condition, load_transformer
from taming.modules import acceleration
from taming.sampling import generate

transformer, vqgan = load_transformer("embedded/scenes_class_transformer.safetensors", precision="auto")
known = torch.ones(1, 16, 16, dtype=torch.bool)
known[:, 3, 2:12] = False
tokens = generate(get_condition(transformer, "beach"), torch.full((1, 16, 16), 7), known, seed=1)
wide = torch.ones(1, 16, 40, dtype=torch.bool)
wide[:, 4:6, 10:30:4] = False
wide = generate(get_condition(transformer, "beach"), torch.full((1, 16, 40), 7), wide, seed=1)
with torch.no_grad():
    image = vqgan.decode_indices(tokens)
torch.save({"tokens": tokens, "wide": wide, "image": image, "fast": acceleration.can_pack("fp32")}, sys.argv[1])
"""


def run(library: Path, out: Path) -> dict[str, torch.Tensor]:
    environment = {**os.environ, "PYTHONPATH": str(library)}
    subprocess.run([sys.executable, "-c", SCRIPT, out], check=True, cwd=out.parent, env=environment)
    return torch.load(out)


def test_everything_works_without_the_folder_of_fast_paths(tmp_path: Path):
    without = tmp_path / "without"
    shutil.copytree(ROOT / "taming", without / "taming", ignore=shutil.ignore_patterns("fast", "__pycache__"))
    plain, fast = run(without, tmp_path / "plain.pt"), run(ROOT, tmp_path / "fast.pt")
    assert not plain["fast"]
    assert torch.equal(plain["tokens"], fast["tokens"]) and torch.equal(plain["wide"], fast["wide"])
    assert torch.allclose(plain["image"], fast["image"], atol=1e-4)
