"""Files of models on the command line: inspect, download, convert."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from command_line import refusal
from published import vqgan_weights
from taming import load_transformer, load_vqgan
from taming.cli import main
from taming.zoo import find_model, read_zoo

TRANSFORMER = "embedded/scenes_class_transformer.safetensors"


def test_inspect_tells_models_configurations_parts_and_parameters(capsys: pytest.CaptureFixture[str]):
    assert main(["inspect", TRANSFORMER]) == 0
    report = capsys.readouterr().out
    transformer, vqgan = load_transformer(TRANSFORMER)
    assert vqgan is not None
    for title, model in (("transformer", transformer), ("first stage, VQGAN", vqgan)):
        assert f"{title}: loads, {sum(p.numel() for p in model.parameters()):,} parameters" in report
    assert "blocks " in report and "safetensors" in report
    assert "  n_layer                  6\n" in report and "  condition.kind           class\n" in report


def test_inspect_of_a_file_that_lacks_a_weight_says_which_and_still_lists_the_parts(tmp_path: Path, capsys):
    weights = vqgan_weights()
    del weights["decoder.conv_out.bias"]
    save_file(weights, tmp_path / "broken.safetensors")
    assert main(["inspect", str(tmp_path / "broken.safetensors")]) == 1
    said = capsys.readouterr()
    assert "decoder" in said.out and "VQGAN (tokenizer): does not load" in said.out
    assert "decoder.conv_out.bias" in said.err


def test_inspect_of_a_transformer_that_does_not_load_tells_of_the_vqgan_inside_that_does(tmp_path: Path, capsys):
    first_stage = {f"first_stage_model.{key}": tensor for key, tensor in vqgan_weights().items()}
    save_file({"transformer.tok_emb.weight": torch.zeros(24, 32), **first_stage}, tmp_path / "half.safetensors")
    assert main(["inspect", str(tmp_path / "half.safetensors")]) == 1
    report = capsys.readouterr().out
    assert "transformer: does not load" in report and "VQGAN (tokenizer): loads" in report


@pytest.mark.parametrize("content", [b"", b"<!doctype html>", b"PK\x03\x04 but no end", b"\x80\x02junk"])
def test_inspect_of_what_is_no_weights_file_is_one_error(tmp_path: Path, capsys, content: bytes):
    (tmp_path / "odd.ckpt").write_bytes(content)
    assert "odd.ckpt" in refusal(["inspect", str(tmp_path / "odd.ckpt")], capsys)


def test_download_without_a_name_lists_the_zoo(capsys: pytest.CaptureFixture[str]):
    assert main(["download"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [model.name for model in read_zoo()]


def test_download_says_what_is_wrong_with_a_name_and_where_to_get_what_it_cannot_fetch(tmp_path: Path, capsys):
    assert "vqgan_gumbel_f8" in refusal(["download", "gumbel_f8"], capsys)
    model = find_model("ffhq_transformer")
    assert model.source in refusal(["download", model.name, "--folder", str(tmp_path)], capsys)


def test_download_goes_into_the_folder_of_its_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("ldm_vq_f4", "ffhq_transformer"):
        model = find_model(name)
        assert str(Path("models", model.folder, model.file)) in refusal(["download", name], capsys)


def test_a_download_that_is_already_there_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    model = find_model("ldm_vq_f4")
    (tmp_path / model.file).write_bytes(b"weights")
    assert main(["download", model.name, "--folder", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / model.file)


def test_a_checkpoint_is_converted_to_one_file_that_needs_nothing_beside_it(tmp_path, capsys):
    weights = vqgan_weights()
    path, out = tmp_path / "last.ckpt", tmp_path / "converted.safetensors"
    torch.save({"state_dict": weights, "epoch": 1}, path)
    assert main(["convert", str(path), "--out", str(out), "--dtype", "float16"]) == 0
    state = load_vqgan(out).state_dict()
    assert all(torch.equal(state[key], tensor.half().float()) for key, tensor in weights.items())
