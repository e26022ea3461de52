"""The command line, as a person uses it: on the embedded models, with files of their own, and with mistakes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import taming
from published import vqgan_weights
from taming import get_condition, load_transformer, load_vqgan
from taming.checkpoints import codebook_fingerprint, save_checkpoint
from taming.cli import COMMANDS, main
from taming.conditioning import BoxFormat
from taming.data import render_scene
from taming.models import ConditionConfig, Transformer, TransformerConfig
from taming.zoo import find_model, read_zoo

ROOT = Path(taming.__file__).parents[1]
VQGAN = "embedded/scenes_vqgan.safetensors"
TRANSFORMER = "embedded/scenes_class_transformer.safetensors"


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    path = tmp_path / "scene.png"
    Image.fromarray(render_scene(0, 1_000_000).image).save(path)
    return path


@pytest.fixture
def small_vqgan(tmp_path: Path) -> Path:
    """A tokenizer with a codebook of its own."""
    path = tmp_path / "small.safetensors"
    save_file(vqgan_weights(), path)
    return path


@pytest.fixture
def small_transformer(tmp_path: Path, small_vqgan: Path) -> Path:
    """A transformer of three classes over 4x4 tokens, 8x8 px, with its first stage beside it."""
    first_stage, path = tmp_path / "small_first_stage.safetensors", tmp_path / "small_transformer.safetensors"
    save_checkpoint(load_vqgan(small_vqgan), first_stage)
    condition = ConditionConfig(kind="class", num_classes=3, class_names=("cat", "dog", "fish"), null_label=3)
    sizes = {"vocab_size": 24, "block_size": 16, "n_layer": 1, "n_head": 2, "n_embd": 16, "grid": (4, 4)}
    transformer = Transformer(TransformerConfig(**sizes, condition=condition))
    transformer.init_weights(torch.Generator().manual_seed(0))
    save_checkpoint(transformer, path, first_stage=first_stage)
    return path


def pixels_of(path: Path) -> torch.Tensor:
    return torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)[None].float() / 127.5 - 1


def refusal(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What is said about arguments that must not work: one error, no traceback, exit status 1."""
    capsys.readouterr()
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and "Traceback" not in error
    return error


def test_the_module_runs_and_lists_every_command():
    result = subprocess.run([sys.executable, "-m", "taming", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0
    for command in ("encode", "decode", "reconstruct", "sample", "train", "convert", "inspect", "download"):
        assert f"\n    {command}" in result.stdout


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.__name__.rpartition(".")[2])
def test_every_command_explains_each_of_its_options(command, capsys: pytest.CaptureFixture[str]):
    name = command.__name__.rpartition(".")[2]
    with pytest.raises(SystemExit) as stopped:
        main([name, "--help"])
    assert stopped.value.code == 0
    lines = capsys.readouterr().out.partition("options:")[2].splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("  -")]
    ends = [*starts[1:], len(lines)]
    for start, end in zip(starts, ends, strict=True):
        block = " ".join(lines[start:end]).split()
        assert len(block) >= 4, f"{name}: {' '.join(block)} has no explanation"


def test_options_are_spelled_as_the_inputs_of_the_nodes(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["sample", "--help"])
    help_text = capsys.readouterr().out
    names = "transformer vqgan label seed temperature top_k top_p guidance_scale batch_size width height image strength"
    assert [name for name in names.split() if f"--{name.replace('_', '-')} " not in help_text] == []


def test_encode_writes_the_tokens_with_their_codebook(scene: Path, tmp_path: Path):
    assert main(["encode", str(scene), "--out", str(tmp_path / "out")]) == 0
    vqgan = load_vqgan(VQGAN)
    with np.load(tmp_path / "out" / "scene.npz", allow_pickle=False) as file, torch.no_grad():
        assert torch.equal(torch.from_numpy(file["indices"]).long(), vqgan.encode(pixels_of(scene)).indices)
        assert file["known"].shape == (1, 16, 16) and file["known"].all()
        assert str(file["codebook"]) == codebook_fingerprint(vqgan.state_dict())


def test_decode_of_encode_is_the_reconstruction(scene: Path, tmp_path: Path):
    tokens, once, twice = tmp_path / "tokens", tmp_path / "once", tmp_path / "twice"
    assert main(["encode", str(scene), "--out", str(tokens)]) == 0
    assert main(["decode", str(tokens / "scene.npz"), "--out", str(once)]) == 0
    assert main(["reconstruct", str(scene), "--out", str(twice)]) == 0
    decoded, reconstructed = pixels_of(once / "scene.png"), pixels_of(twice / "scene.png")
    assert torch.equal(decoded, reconstructed)
    with torch.no_grad():
        expected = load_vqgan(VQGAN)(pixels_of(scene))[0].clamp(-1, 1)
    assert (decoded - expected).abs().max() <= 1.01 / 255, "rounded to the nearest of 256 levels"


def test_a_picture_is_taken_upright_without_transparency_and_cropped_to_whole_tokens(
    tmp_path: Path, small_vqgan: Path, capsys: pytest.CaptureFixture[str]
):
    upright = Image.fromarray(np.random.default_rng(0).integers(0, 255, (11, 8, 3), dtype=np.uint8))
    turned = upright.transpose(Image.Transpose.ROTATE_90).convert("RGBA")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise
    turned.save(tmp_path / "turned.png", exif=exif)
    upright.crop((0, 0, 8, 10)).save(tmp_path / "cropped.png")  # the crop of 1 px leaves the upper 10
    options = ["--vqgan", str(small_vqgan), "--out", str(tmp_path)]
    assert main(["encode", str(tmp_path / "turned.png"), str(tmp_path / "cropped.png"), *options]) == 0
    grids = [np.load(tmp_path / f"{name}.npz")["indices"] for name in ("turned", "cropped")]
    assert grids[0].shape == (1, 5, 4) and np.array_equal(*grids)


def test_several_grids_of_one_file_become_numbered_pictures(tmp_path: Path, scene: Path):
    assert main(["encode", str(scene), "--out", str(tmp_path)]) == 0
    arrays = dict(np.load(tmp_path / "scene.npz"))
    doubled = {name: arrays[name].repeat(2, axis=0) for name in ("indices", "known")}
    np.savez(tmp_path / "two.npz", codebook=arrays["codebook"], **doubled)
    assert main(["decode", str(tmp_path / "two.npz"), "--out", str(tmp_path / "out")]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["two_0.png", "two_1.png"]


def test_tokens_of_another_codebook_are_refused(tmp_path: Path, scene: Path, small_vqgan: Path, capsys):
    assert main(["encode", str(scene), "--out", str(tmp_path)]) == 0
    arguments = ["decode", str(tmp_path / "scene.npz"), "--vqgan", str(small_vqgan), "--out", str(tmp_path / "out")]
    assert "another codebook" in refusal(arguments, capsys)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"known": np.zeros((1, 16, 16), bool)}, "256 cells that are not known"),
        ({"indices": np.full((1, 16, 16), 1024)}, "outside of 0 to 1023"),
        ({"indices": np.full((1, 16, 16), -1)}, "outside of 0 to 1023"),
        ({"indices": np.zeros((16, 16), int)}, "no token grids"),
        ({"indices": np.zeros((1, 16, 16))}, "no token grids"),
        ({"indices": np.array([object()])}, "not a file that `encode` wrote"),
        ({"codebook": np.str_("0" * 64)}, "another codebook"),
    ],
)
def test_damaged_tokens_are_refused(
    tmp_path: Path, scene: Path, capsys, changes: dict[str, np.ndarray], complaint: str
):
    assert main(["encode", str(scene), "--out", str(tmp_path)]) == 0
    np.savez(tmp_path / "bad.npz", **{**np.load(tmp_path / "scene.npz"), **changes})
    assert complaint in refusal(["decode", str(tmp_path / "bad.npz"), "--out", str(tmp_path / "out")], capsys)


def test_no_result_overwrites_an_input_or_another_result(tmp_path: Path, scene: Path, capsys):
    before = scene.read_bytes()
    assert "would be overwritten" in refusal(["reconstruct", str(scene), "--out", str(tmp_path)], capsys)
    assert scene.read_bytes() == before
    other = tmp_path / "other" / "scene.png"
    other.parent.mkdir()
    other.write_bytes(before)
    arguments = ["reconstruct", str(scene), str(other), "--out", str(tmp_path / "out")]
    assert "Several inputs would be written to" in refusal(arguments, capsys)


def test_what_is_no_picture_is_refused(tmp_path: Path, capsys):
    (tmp_path / "text.png").write_text("not a picture", encoding="utf-8")
    Image.new("RGB", (3, 200)).save(tmp_path / "thin.png")
    complaints = {"text.png": "cannot be read as a picture", "missing.png": "cannot be read", "thin.png": "one token"}
    for name, complaint in complaints.items():
        assert complaint in refusal(["encode", str(tmp_path / name), "--out", str(tmp_path)], capsys)


def test_a_tokenizer_of_maps_takes_no_pictures(tmp_path: Path, scene: Path, capsys):
    save_file(vqgan_weights(channels=5), tmp_path / "maps.safetensors")
    arguments = ["encode", str(scene), "--vqgan", str(tmp_path / "maps.safetensors"), "--out", str(tmp_path)]
    assert "5 channels" in refusal(arguments, capsys)


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


def test_sample_over_a_picture_keeps_a_share_of_it(tmp_path: Path, small_transformer: Path, scene: Path):
    vqgan = str(small_transformer.with_name("small_first_stage.safetensors"))
    source = tmp_path / "source.png"
    Image.open(scene).resize((8, 8)).save(source)
    options = ["--transformer", str(small_transformer), "--image", str(source), "--label", "cat"]
    for strength in ("0", "0.5"):
        assert main(["sample", *options, "--strength", strength, "--out", str(tmp_path / strength)]) == 0
    kept, changed = (pixels_of(tmp_path / strength / "cat_0_0.png") for strength in ("0", "0.5"))
    assert main(["reconstruct", str(source), "--vqgan", vqgan, "--out", str(tmp_path / "whole")]) == 0
    assert torch.equal(kept, pixels_of(tmp_path / "whole" / "source.png"))
    assert not torch.equal(changed, kept)


def test_a_picture_is_scaled_to_the_size_asked_for(tmp_path: Path, scene: Path):
    large = tmp_path / "large.png"
    Image.open(scene).resize((300, 400)).save(large)
    options = ["--width", "128", "--height", "128", "--label", "alpine", "--strength", "0.1"]
    assert main(["sample", "--image", str(large), *options, "--out", str(tmp_path / "out")]) == 0
    assert Image.open(tmp_path / "out" / "alpine_0_0.png").size == (128, 128)


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


def test_a_folder_that_cannot_be_made_is_one_error(tmp_path: Path, scene: Path, capsys):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    assert str(tmp_path / "file") in refusal(["encode", str(scene), "--out", str(tmp_path / "file")], capsys)


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


def test_training_starts_from_the_command_line_and_explains_an_unknown_recipe(tmp_path: Path, capsys):
    error = refusal(["train", "no_such_recipe", "--out", str(tmp_path)], capsys)
    assert "scenes_vqgan" in error


# What is known, and what a transformer is told


def test_what_a_mask_does_not_touch_stays_as_it_decodes(scene, tmp_path):
    mask = tmp_path / "mask.png"
    white = np.zeros((128, 128), np.uint8)
    white[:, 96:] = 255
    Image.fromarray(white).save(mask)
    common = ["sample", "--image", str(scene), "--label", "beach"]
    assert main([*common, "--mask", str(mask), "--out", str(tmp_path / "masked")]) == 0
    assert main([*common, "--strength", "0", "--out", str(tmp_path / "kept")]) == 0
    masked, kept = (pixels_of(next((tmp_path / name).glob("*.png"))) for name in ("masked", "kept"))
    difference = (masked - kept).abs().mean(dim=(0, 1, 2))  # by column
    assert difference[:64].max() < 0.1 and difference[104:].mean() > 0.1


def test_padding_widens_the_picture_and_keeps_it(scene, tmp_path):
    out = tmp_path / "wide"
    arguments = ["sample", "--image", str(scene), "--label", "alpine", "--pad", "0", "0", "4", "0"]
    assert main([*arguments, "--out", str(out)]) == 0
    wide = pixels_of(next(out.glob("*.png")))
    assert wide.shape == (1, 3, 128, 160)
    assert (wide[..., :96] - pixels_of(scene)[..., :96]).abs().mean() < 0.15


@pytest.mark.parametrize("option", [["--mask", "m.png"], ["--pad", "1", "1", "1", "1"], ["--strength", "0.5"]])
def test_what_needs_a_picture_says_so(option, tmp_path, capsys):
    assert main(["sample", *option, "--out", str(tmp_path)]) == 1
    assert f"error: {option[0]} is about a picture to draw on: give it with --image" in capsys.readouterr().err


@pytest.fixture
def box_transformer(tmp_path: Path, small_vqgan: Path) -> Path:
    """A transformer of 4x4 tokens that is told objects."""
    first_stage, path = tmp_path / "box_first_stage.safetensors", tmp_path / "box_transformer.safetensors"
    save_checkpoint(load_vqgan(small_vqgan), first_stage)
    boxes = BoxFormat(num_classes=3, num_tokens=24, max_objects=2)
    condition = ConditionConfig(kind="boxes", class_names=("cat", "dog", "fish"), boxes=boxes)
    sizes = {"vocab_size": 24, "block_size": 24, "n_layer": 1, "n_head": 2, "n_embd": 16, "grid": (4, 4)}
    transformer = Transformer(TransformerConfig(**sizes, condition=condition))
    transformer.init_weights(torch.Generator().manual_seed(0))
    save_checkpoint(transformer, path, first_stage=first_stage)
    return path


def test_boxes_come_from_a_file_with_labels_by_name_or_number(box_transformer, tmp_path):
    boxes = tmp_path / "boxes.json"
    boxes.write_text(
        '[{"label": "dog", "x": 0.1, "y": 0.2, "width": 0.5, "height": 0.5},'
        ' {"label": 2, "x": 0.5, "y": 0, "width": 0.4, "height": 1}]'
    )
    arguments = ["sample", "--transformer", str(box_transformer), "--boxes", str(boxes), "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    assert len(list((tmp_path / "out").glob("*.png"))) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[", "not valid JSON"),
        ('{"label": 1}', "expected a list of objects"),
        ('[{"label": "dog"}]', "object 1: expected label, x, y, width, height"),
        ('[{"label": "bird", "x": 0, "y": 0, "width": 1, "height": 1}]', "no class 'bird'"),
        ('[{"label": 1, "x": 3, "y": 0, "width": 1, "height": 1}]', "Box 1"),
        ('[{"label": 1, "x": "left", "y": 0, "width": 1, "height": 1}]', "as numbers from 0 to 1"),
    ],
)
def test_wrong_boxes_are_refused_in_words(text, words, box_transformer, tmp_path, capsys):
    boxes = tmp_path / "boxes.json"
    boxes.write_text(text)
    assert main(["sample", "--transformer", str(box_transformer), "--boxes", str(boxes), "--out", str(tmp_path)]) == 1
    assert words in capsys.readouterr().err


def test_a_condition_of_the_wrong_kind_is_refused_in_words(scene, tmp_path, capsys):
    assert main(["sample", "--depth", str(scene), "--out", str(tmp_path)]) == 1
    assert "error:" in capsys.readouterr().err


def test_a_checkpoint_is_converted_to_one_file_that_needs_nothing_beside_it(tmp_path, capsys):
    weights = vqgan_weights()
    path, out = tmp_path / "last.ckpt", tmp_path / "converted.safetensors"
    torch.save({"state_dict": weights, "epoch": 1}, path)
    assert main(["convert", str(path), "--out", str(out), "--dtype", "float16"]) == 0
    state = load_vqgan(out).state_dict()
    assert all(torch.equal(state[key], tensor.half().float()) for key, tensor in weights.items())
