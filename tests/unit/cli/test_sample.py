"""Drawing on the command line: labels, seeds, batches, and options that are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from command_line import VQGAN, pixels_of, refusal
from taming import get_condition, load_transformer
from taming.cli import main


def test_sample_draws_one_picture_per_label_and_repeats(tmp_path: Path, small_transformer: Path):
    arguments = ["sample", "--transformer", str(small_transformer), "--label", "cat, 2", "--seed", "3"]
    arguments += ["--top-k", "20", "--top-p", "0.9", "--temperature", "0.8", "--guidance-scale", "2"]
    for run in ("a", "b"):
        assert main([*arguments, "--out", str(tmp_path / run)]) == 0
    names = ["cat-2_3_0.png", "cat-2_3_1.png"]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == names
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in names)
    transformer, vqgan = load_transformer(small_transformer)
    assert vqgan is not None
    condition = get_condition(transformer, label="cat, fish")
    indices = transformer.sample(condition, seed=3, temperature=0.8, top_k=20, top_p=0.9, guidance_scale=2.0)
    with torch.no_grad():
        expected = vqgan.decode_indices(indices[1:]).clamp(-1, 1)
    assert (pixels_of(tmp_path / "a" / names[1]) - expected).abs().max() <= 1.01 / 255


def test_a_batch_draws_the_first_picture_of_a_seed_and_others(tmp_path: Path, small_transformer: Path):
    arguments = ["sample", "--transformer", str(small_transformer), "--out", str(tmp_path)]
    assert main([*arguments, "--label", "cat"]) == 0
    alone = (tmp_path / "cat_0_0.png").read_bytes()
    assert main([*arguments, "--label", "cat", "--batch-size", "3"]) == 0
    pictures = [(tmp_path / f"cat_0_{item}.png").read_bytes() for item in range(3)]
    assert pictures[0] == alone and len(set(pictures)) == 3


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--label", "alpin"], "Did you mean 'alpine'"),
        (["--strength", "0.5"], "--image"),
        (["--batch-size", "0"], "--batch-size is 0"),
        (["--batch-size", "3", "--label", "alpine, beach"], "2 items, the batch 3"),
        (["--temperature", "-1"], "temperature is -1"),
        (["--seed", "-1"], "--seed is -1"),
        (["--width", "4"], "less than one token"),
        (["--transformer", VQGAN], "Load VQGAN"),
        (["--transformer", "missing.ckpt"], "does not exist"),
    ],
)
def test_wrong_options_of_sample_are_explained(tmp_path: Path, capsys, options: list[str], complaint: str):
    assert complaint in refusal(["sample", *options, "--out", str(tmp_path)], capsys)
    assert list(tmp_path.iterdir()) == []


def test_a_tokenizer_of_another_vocabulary_is_refused(tmp_path: Path, small_vqgan: Path, capsys):
    assert "do not belong together" in refusal(["sample", "--vqgan", str(small_vqgan), "--out", str(tmp_path)], capsys)
