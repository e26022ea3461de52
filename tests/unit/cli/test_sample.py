"""Drawing on the command line: labels, seeds, batches, and options that are wrong."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from command_line import VQGAN, pixels_of, refusal
from taming import get_condition, load_transformer, recommended_options
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


def test_what_is_not_given_is_what_the_model_recommends(tmp_path: Path, small_transformer: Path, caplog):
    arguments = ["sample", "--transformer", str(small_transformer), "--out", str(tmp_path)]
    with caplog.at_level("INFO"):
        assert main([*arguments, "--label", "cat", "--top-k", "7"]) == 0
        assert main(arguments) == 0
    transformer, _ = load_transformer(small_transformer)
    recommended = replace(recommended_options(transformer), top_k=7)
    assert recommended.guidance_scale > 1
    assert f"Settings: {recommended}." in caplog.text
    assert "guidance_scale 1." in caplog.text  # without a label it would move away from what is drawn
    condition = get_condition(transformer, label="cat")
    expected = transformer.sample(condition, **{**asdict(recommended)})
    torch.testing.assert_close(
        pixels_of(tmp_path / "cat_0_0.png"), decoded(small_transformer, expected), rtol=0, atol=0.01
    )


def decoded(file: Path, indices: torch.Tensor) -> torch.Tensor:
    """The picture of `indices`, (1, h, w), in [-1, 1]."""
    _, vqgan = load_transformer(file)
    assert vqgan is not None
    with torch.no_grad():
        return vqgan.decode_indices(indices).clamp(-1, 1)


def test_a_batch_draws_the_first_picture_of_a_seed_and_others(tmp_path: Path, small_transformer: Path):
    arguments = ["sample", "--transformer", str(small_transformer), "--label", "cat"]
    assert main([*arguments, "--out", str(tmp_path / "alone")]) == 0
    alone = (tmp_path / "alone" / "cat_0_0.png").read_bytes()
    assert main([*arguments, "--batch-size", "3", "--out", str(tmp_path)]) == 0
    pictures = [(tmp_path / f"cat_0_{item}.png").read_bytes() for item in range(3)]
    assert pictures[0] == alone and len(set(pictures)) == 3


def test_labels_take_turns_in_a_larger_batch(tmp_path: Path, small_transformer: Path):
    arguments = ["sample", "--transformer", str(small_transformer), "--out", str(tmp_path)]
    for label in ("cat, 2", "cat, 2, cat"):
        assert main([*arguments, "--label", label, "--batch-size", "3"]) == 0
    turns, named = (
        [(tmp_path / f"{title}_0_{item}.png").read_bytes() for item in range(3)] for title in ("cat-2", "cat-2-cat")
    )
    assert turns == named


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--label", "alpin"], "Did you mean 'alpine'"),
        (["--strength", "0.5"], "--image"),
        (["--patch", "0"], "--patch is 0"),
        (["--batch-size", "0"], "--batch-size is 0"),
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
