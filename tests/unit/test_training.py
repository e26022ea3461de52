"""Training: recipes that do not fit are refused, and the others learn."""

import math

import pytest
import torch
from safetensors import safe_open

from recipes import write_recipe
from short_runs import make_task
from taming.checkpoints import load_vqgan
from taming.checkpoints.metadata import METADATA_KEY
from taming.errors import ConfigError
from taming.training.loop import train
from taming.training.recipe import read_recipe


@pytest.mark.parametrize(
    "section",
    [{"loss": {"null_rate": 0.1, "l2": 1}}, {"loss": {"null_rate": "often"}}],
    ids=["unknown", "of a wrong type"],
)
def test_a_transformers_loss_section_is_checked_like_the_others(section, run_folder, scenes):
    recipe = read_recipe(str(write_recipe(run_folder, "transformer", **section)))
    with pytest.raises(ConfigError, match="null_rate|l2"):
        make_task(recipe, scenes)


def test_crops_that_are_not_whole_tokens_are_refused(tmp_path, scenes):
    recipe = read_recipe(str(write_recipe(tmp_path, "vqgan", phases=[{"steps": 1, "batch_size": 1, "crop_px": 18}])))
    with pytest.raises(ConfigError, match="18 is not a multiple of 4"):
        make_task(recipe, scenes)


def test_a_vqgan_learns_to_reconstruct(tmp_path, scenes):
    changes = {
        "phases": [{"steps": 40, "batch_size": 4, "crop_px": 16}],
        "optimizer": {"lr": 4e-3, "warmup_steps": 2},
        "loss": {"l1": 0.5, "l2": 5.0, "quantize_from": 10},
    }
    recipe = read_recipe(str(write_recipe(tmp_path, "vqgan", **changes, evaluate_every=100)))
    task, losses = make_task(recipe, scenes), []
    before = task.evaluate()
    after = train(task, recipe, tmp_path / "run", lambda step, figures: losses.append(figures["l2"]))
    assert sum(losses[-8:]) < 0.9 * sum(losses[:8])
    assert after["psnr"] > before["psnr"] + 1
    assert after["usage"] > 0.5


def test_a_transformer_learns_to_predict_tokens(run_folder, scenes):
    phases = [{"steps": 60, "batch_size": 8}]
    recipe = read_recipe(str(write_recipe(run_folder, "transformer", phases=phases, evaluate_every=100)))
    task, losses = make_task(recipe, scenes), []
    before = task.evaluate()["held_out_loss"]
    after = train(task, recipe, run_folder, lambda step, figures: losses.append(figures["loss"]))["held_out_loss"]
    assert before == pytest.approx(math.log(16), rel=0.1)
    assert sum(losses[-8:]) < 0.9 * sum(losses[:8])
    assert after < 0.9 * before


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_a_vqgan_learns_in_every_precision(precision, tmp_path, scenes):
    changes = {"phases": [{"steps": 30, "batch_size": 4, "crop_px": 16}], "optimizer": {"lr": 4e-3, "warmup_steps": 2}}
    recipe = read_recipe(str(write_recipe(tmp_path, "vqgan", **changes, precision=precision, evaluate_every=100)))
    losses = []
    train(make_task(recipe, scenes), recipe, tmp_path, lambda step, figures: losses.append(figures["l2"]))
    assert sum(losses[-6:]) < 0.9 * sum(losses[:6])


def test_training_the_decoder_leaves_the_tokens_as_they_are(run_folder, tokenizer, scenes):
    recipe = read_recipe(str(write_recipe(run_folder, "vqgan_decoder")))
    train(make_task(recipe, scenes), recipe, run_folder)
    before, after = load_vqgan(tokenizer).state_dict(), load_vqgan(run_folder / "model.safetensors").state_dict()
    with safe_open(run_folder / "model.safetensors", "pt") as file:
        assert METADATA_KEY in file.metadata(), "it was saved without its configuration"
    changed = {key.partition(".")[0] for key in after if not torch.equal(before[key], after[key])}
    assert changed == {"decoder", "post_quant_conv"}


def test_weight_decay_is_for_the_matrices_of_a_transformer_only(run_folder, scenes):
    recipe = read_recipe(str(write_recipe(run_folder, "transformer")))
    task = make_task(recipe, scenes)
    names = {id(parameter): name for name, parameter in task.modules["transformer"].named_parameters()}
    groups = {
        group["weight_decay"]: {names.pop(id(parameter)) for parameter in group["params"]}
        for group in task.turns[0].optimizer.param_groups
    }
    assert names == {}, "some parameters are not trained"
    assert set(groups) == {0.0, 0.05}
    assert all(".attn." in name or ".mlp." in name or name == "head.weight" for name in groups[0.05])
    assert not any(name.endswith("bias") for name in groups[0.05])
    assert {"pos_emb", "tok_emb.weight", "ln_f.weight"} <= groups[0.0]
