"""Starting from a model that exists: its weights are taken whole, and what does not fit is named."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from recipes import GPT, VQGAN, write_recipe
from short_runs import all_pixels, make_task, read_state
from taming.checkpoints import load_vqgan, save_checkpoint
from taming.conditioning import ClassCondition, CoordinateCondition, Unconditional
from taming.configs import config_from_dict
from taming.data import SCENE_CLASSES, ArrayDataset, Subset
from taming.errors import ConfigError, TamingError
from taming.models import Transformer, TransformerConfig
from taming.modules.quantizers import EMAVectorQuantizer
from taming.training.batches import step_rng
from taming.training.datasets import Data
from taming.training.loop import train
from taming.training.recipe import read_recipe
from taming.training.tasks.init_from import start_transformer_from


def save_transformer(folder, classes=0, **changes):
    """A transformer with random weights, told a class of so many, or nothing."""
    condition = Unconditional()
    if classes:
        condition = ClassCondition(num_classes=classes, null_label=classes)
    config = config_from_dict(TransformerConfig, {**GPT, **changes}, "model")
    model = Transformer(replace(config, condition=condition))
    model.init_weights(torch.Generator().manual_seed(1))
    with torch.no_grad():
        model.pos_emb.normal_(generator=torch.Generator().manual_seed(2))
    file = folder / f"start-{classes}-{len(changes)}.safetensors"
    save_checkpoint(model, file)
    return model, file


def transformer_task(folder, scenes, start, **changes):
    recipe = write_recipe(folder, "transformer", init_from=str(start), **changes)
    return make_task(read_recipe(str(recipe)), scenes)


def without_labels(scenes: Data) -> Data:
    images = [scenes.training[index].image for index in range(len(scenes.training))]
    training = ArrayDataset(images)
    return Data(training, Subset(training, range(8, 12)))


@pytest.mark.parametrize("quantizer", ["ema", "vq"])
def test_a_vqgan_starts_with_every_weight_and_its_tokens_are_those_of_the_file(quantizer, tmp_path, tokenizer, scenes):
    changes = {"init_from": str(tokenizer), "model": {**VQGAN, "quantizer": quantizer}, "loss": {}}
    task = make_task(read_recipe(str(write_recipe(tmp_path, "vqgan", **changes))), scenes)
    source = load_vqgan(tokenizer)
    for name, weight in task.model.state_dict().items():
        assert torch.equal(source.state_dict()[name], weight), name
    task.batch(0, step_rng(0, 0))  # a codebook that exists is not put elsewhere
    with torch.no_grad():
        pixels = all_pixels(scenes)
        assert torch.equal(task.model.eval().encode(pixels).indices, source.encode(pixels).indices)


def test_a_running_codebook_starts_its_averages_at_the_codes_and_moves_on(tmp_path, tokenizer, scenes):
    changes = {"init_from": str(tokenizer), "loss": {}}
    recipe = read_recipe(str(write_recipe(tmp_path, "vqgan", **changes)))
    task = make_task(recipe, scenes)
    quantize = task.model.quantize
    assert isinstance(quantize, EMAVectorQuantizer)
    averages = quantize.embedding.state_dict()
    torch.testing.assert_close(averages["embed_avg"] / averages["cluster_size"][:, None], averages["weight"])
    before = averages["weight"].clone()
    train(task, recipe, tmp_path)
    after = quantize.embedding.weight
    assert not torch.equal(after, before)
    assert (after - before).norm() < before.norm(), "the codes moved from where they were, they did not start anew"


def test_going_on_with_a_run_takes_its_own_state_and_not_the_file_again(tmp_path, tokenizer, scenes):
    recipe = read_recipe(str(write_recipe(tmp_path, "vqgan", init_from=str(tokenizer))))
    train(make_task(recipe, scenes), recipe, tmp_path)
    trained, task = read_state(tmp_path)["modules"]["vqgan"], make_task(recipe, scenes)
    train(task, recipe, tmp_path)
    assert all(torch.equal(task.model.state_dict()[name], weight) for name, weight in trained.items())


def test_a_transformer_told_the_same_starts_with_every_weight(run_folder, scenes):
    source, file = save_transformer(run_folder, classes=len(SCENE_CLASSES))
    task = transformer_task(run_folder, scenes, file)
    for name, weight in source.state_dict().items():
        assert torch.equal(task.model.state_dict()[name], weight), name


def test_the_cells_of_a_grid_keep_their_positions_whatever_is_told_before_them(run_folder):
    source, file = save_transformer(run_folder)  # one token is told, and the cells follow from position 1 on
    condition = CoordinateCondition(num_codes=16, down_factor=4)  # one for each of 64 cells
    for block_size in (127, 140):
        config = config_from_dict(TransformerConfig, {**GPT, "block_size": block_size}, "model")
        model = Transformer(replace(config, condition=condition))
        start_transformer_from(model, str(file))
        assert torch.equal(model.pos_emb[:, 64:127], source.pos_emb[:, 1:])
        assert not model.pos_emb[:, :63].any() and not model.pos_emb[:, 127:].any()
        assert torch.equal(model.head.weight, source.head.weight)


def test_more_room_after_the_grid_moves_nothing(run_folder, scenes):
    source, file = save_transformer(run_folder)
    task = transformer_task(run_folder, without_labels(scenes), file, model={**GPT, "block_size": 70})
    assert torch.equal(task.model.pos_emb[:, :64], source.pos_emb) and not task.model.pos_emb[:, 64:].any()


def test_a_transformer_that_reads_a_context_now_starts_the_layers_for_it_from_chance(run_folder, scenes):
    source, file = save_transformer(run_folder)
    model = {**GPT, "context_dim": 8}
    task = transformer_task(run_folder, without_labels(scenes), file, model=model)
    weights = task.model.state_dict()
    new = {name for name in weights if name not in source.state_dict()}
    assert new and all(".cross." in name or ".ln_cross." in name for name in new)
    assert all(torch.equal(weights[name], weight) for name, weight in source.state_dict().items())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": {**VQGAN, "n_embed": 32}}, r"\(16,.* there and \(32,.* here"),
        ({"model": {**VQGAN, "ch_mult": [1, 1, 1]}}, "not of the recipe's architecture"),
        ({"init_from": "missing.safetensors"}, "missing.safetensors"),
    ],
    ids=["codes", "layers", "file"],
)
def test_a_vqgan_of_another_architecture_is_refused_by_the_first_difference(
    changes, words, tmp_path, tokenizer, scenes
):
    recipe = read_recipe(str(write_recipe(tmp_path, "vqgan", **{"init_from": str(tokenizer), **changes})))
    with pytest.raises(TamingError, match=words):
        make_task(recipe, scenes)


@pytest.mark.parametrize(
    ("there", "words"),
    [
        ({"grid": [4, 8]}, r"a grid of \(4, 8\), this recipe one of \(8, 8\)"),
        ({"n_layer": 1}, r"blocks\.1\..* is absent there"),
        ({"n_embd": 16}, "architecture"),
    ],
    ids=["grid", "layers", "width"],
)
def test_a_transformer_of_another_shape_is_refused_by_the_first_difference(there, words, run_folder, scenes):
    _, file = save_transformer(run_folder, classes=len(SCENE_CLASSES), **there)
    with pytest.raises(ConfigError, match=words):
        transformer_task(run_folder, scenes, file)
