"""What a run leaves: an exported model that is the trained one, and a log."""

import json
from dataclasses import replace

import pytest
import torch

from recipes import write_recipe
from short_runs import all_pixels, make_task, read_state
from taming.checkpoints import load_checkpoint, load_transformer, load_vqgan, read_checkpoint
from taming.configs import config_from_dict
from taming.data import SCENE_CLASSES
from taming.models import VQModel, VQModelConfig
from taming.training.loop import train
from taming.training.recipe import read_recipe


def test_running_averages_are_what_is_evaluated_and_exported(tmp_path, scenes):
    recipe = read_recipe(str(write_recipe(tmp_path, "vqgan", ema_decay=0.9)))
    task = make_task(recipe, scenes)
    train(task, recipe, tmp_path)
    state, exported = read_state(tmp_path), load_vqgan(tmp_path / "model.safetensors").state_dict()
    name = "decoder.conv_out.weight"
    assert torch.equal(exported[name], state["averages"][name])
    assert not torch.equal(exported[name], state["modules"]["vqgan"][name])
    assert torch.equal(task.modules["vqgan"].state_dict()[name], state["modules"]["vqgan"][name])


def test_the_log_has_a_line_per_evaluation(tmp_path, scenes):
    recipe = read_recipe(str(write_recipe(tmp_path, "vqgan")))
    train(make_task(recipe, scenes), recipe, tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [4, 5]
    assert all({"l1", "l2", "psnr", "usage", "perplexity"} <= row.keys() for row in rows)


def test_an_exported_vqgan_is_the_trained_one_without_what_only_training_needs(tmp_path, scenes):
    recipe = read_recipe(str(write_recipe(tmp_path, "vqgan")))
    task = make_task(recipe, scenes)
    train(task, recipe, tmp_path)
    vqgan, trained = load_vqgan(tmp_path / "model.safetensors"), task.modules["vqgan"].eval()
    assert isinstance(trained, VQModel)
    pixels = all_pixels(scenes)[:2]
    with torch.no_grad():
        assert torch.equal(vqgan.encode(pixels).indices, trained.encode(pixels).indices)
        assert torch.equal(vqgan(pixels)[0], trained(pixels)[0])
    assert vqgan.config == replace(config_from_dict(VQModelConfig, recipe.model, "model"), quantizer="vq")
    assert not any("cluster_size" in key or "embed_avg" in key for key in vqgan.state_dict())


def test_an_exported_transformer_is_the_trained_one_and_finds_its_tokenizer(run_folder, tokenizer, scenes):
    recipe = read_recipe(str(write_recipe(run_folder, "transformer")))
    task = make_task(recipe, scenes)
    train(task, recipe, run_folder)
    transformer, vqgan = load_transformer(run_folder / "model.safetensors")
    indices = torch.randint(16, (2, 64), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(transformer(indices), task.modules["transformer"].eval()(indices))
    assert transformer.config.condition.class_names == SCENE_CLASSES
    assert transformer.config.condition.null_label == len(SCENE_CLASSES)
    assert vqgan is not None
    codes = [model.state_dict()["quantize.embedding.weight"] for model in (vqgan, load_vqgan(tokenizer))]
    assert torch.equal(*codes)


@pytest.mark.parametrize("name", ["vqgan", "transformer"])
def test_a_model_can_be_exported_at_half_the_size(name, run_folder, scenes):
    sizes = {}
    for dtype in ("float32", "float16"):
        recipe = read_recipe(str(write_recipe(run_folder, name, export_dtype=dtype)))
        task, file = make_task(recipe, scenes), run_folder / "model.safetensors"
        task.export(file)
        sizes[dtype] = sum(tensor.nbytes for tensor in read_checkpoint(file).state_dict.values())
        load_checkpoint(file)
    assert sizes["float16"] * 2 == sizes["float32"]


def test_a_transformer_can_be_exported_far_from_its_tokenizer(run_folder, scenes):
    recipe = read_recipe(str(write_recipe(run_folder, "transformer")))
    train(make_task(recipe, scenes), recipe, run_folder / "elsewhere")
    transformer, vqgan = load_transformer(run_folder / "elsewhere" / "model.safetensors")
    assert transformer.config.grid == (8, 8) and vqgan is not None
