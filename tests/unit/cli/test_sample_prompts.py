"""Prompts on the command line: drawn, repeated, explained; what inspect says of their words; training by captions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from command_line import pixels_of, refusal
from taming import get_condition, load_transformer
from taming.checkpoints import save_checkpoint
from taming.cli import main
from taming.configs import config_from_dict
from taming.models import VQModel, VQModelConfig
from word_models import SIDE, write_captioned, write_word_model

WORDS = [
    *("phases=[{steps: 2, batch_size: 2}]", "precision=float32", "data.size_px=32", "data.min_px=16"),
    *("model.vocab_size=16", "model.block_size=95", "model.n_layer=1", "model.n_head=2", "model.n_embd=16"),
    *("model.grid=[8,8]", "optimizer.warmup_steps=1"),
]
VQGAN = {"n_embed": 16, "embed_dim": 4, "ch": 32, "ch_mult": [1, 1, 2], "num_res_blocks": 1, "z_channels": 8}


@pytest.fixture
def word_transformer(tmp_path: Path) -> Path:
    return write_word_model(tmp_path)


def test_sample_draws_by_a_prompt_away_from_a_negative_one(tmp_path: Path, word_transformer: Path, caplog):
    arguments = ["sample", "--transformer", str(word_transformer), "--prompt", "A red boat, xylophone", "--seed", "3"]
    arguments += ["--negative", "trees", "--batch-size", "2", "--out", str(tmp_path / "out")]
    settings = ["--temperature", "1", "--top-k", "0", "--top-p", "1"]
    assert main([*arguments, *settings, "--guidance-scale", "3"]) == 0
    assert "xylophone" in caplog.text and "--negative" not in caplog.text
    transformer, vqgan = load_transformer(word_transformer)
    condition = get_condition(transformer, prompt="red boats", negative="a tree", batch_size=2)
    with torch.no_grad():
        expected = vqgan.decode_indices(transformer.sample(condition, seed=3, guidance_scale=3.0)).clamp(-1, 1)
    for item in range(2):
        drawn = pixels_of(tmp_path / "out" / f"A-red-boat-xylophone_3_{item}.png")
        assert (drawn - expected[item]).abs().max() <= 1.01 / 255
    assert main([*arguments, "--guidance-scale", "1", "--overwrite"]) == 0
    assert "--negative does nothing while --guidance-scale is 1" in caplog.text


def test_labels_of_a_model_of_words_are_one_for_each_picture(tmp_path: Path, word_transformer: Path):
    out = tmp_path / "out"
    assert main(["sample", "--transformer", str(word_transformer), "--label", "alpine, 1", "--out", str(out)]) == 0
    assert len(list(out.iterdir())) == 2


@pytest.mark.parametrize(
    ("options", "complaint"),
    [(["--label", "5"], "no class '5'"), (["--label", "alpine", "--prompt", "sea"], "both were given")],
)
def test_wrong_labels_of_a_model_of_words_are_explained(
    tmp_path: Path, word_transformer: Path, capsys, options: list[str], complaint: str
):
    arguments = ["sample", "--transformer", str(word_transformer), *options, "--out", str(tmp_path / "out")]
    assert complaint in refusal(arguments, capsys)


def test_a_class_model_refuses_a_prompt(tmp_path: Path, small_transformer: Path, capsys):
    arguments = ["sample", "--transformer", str(small_transformer), "--prompt", "cat", "--out", str(tmp_path / "out")]
    assert "A prompt was given to a transformer that was trained to be told its label" in refusal(arguments, capsys)


def test_inspect_names_some_of_the_words(word_transformer: Path, capsys):
    assert main(["inspect", str(word_transformer)]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if "word_list" in line)
    assert "60 words: mountains, forest, lake" in line and line.endswith(", ...")


def test_a_folder_with_captions_becomes_a_model_that_reads_them(tmp_path: Path):
    pictures, tokenizer = write_captioned(tmp_path / "pictures"), tmp_path / "tokenizer.safetensors"
    vqgan = {**VQGAN, "attn_resolutions": [], "resolution": 32}
    save_checkpoint(VQModel(config_from_dict(VQModelConfig, vqgan, "model")), tokenizer)
    given = [f"data.folder={pictures}", f"first_stage={tokenizer}", *WORDS, "--device", "cpu"]
    assert main(["train", "pictures_words", *given, "--out", str(tmp_path / "run")]) == 0
    model = tmp_path / "run" / "model.safetensors"
    out = tmp_path / "out"
    assert main(["sample", "--transformer", str(model), "--prompt", "a red square", "--out", str(out)]) == 0
    assert pixels_of(out / "a-red-square_0_0.png").shape == (1, 3, 32, 32)
    assert json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[-1])["step"] == 2
    assert load_transformer(model)[0].config.grid == (2 * SIDE, 2 * SIDE)
