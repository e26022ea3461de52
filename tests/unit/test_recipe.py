"""Recipes: read from YAML, refused by the name of what is wrong, and every shipped one good for a model."""

import pytest

from recipes import write_recipe
from taming.configs import PRESETS, config_from_dict
from taming.errors import ConfigError
from taming.models import Transformer, TransformerConfig, VQModel, VQModelConfig
from taming.training.recipe import Optimizer, Phase, Recipe, read_recipe

BAD_RECIPES = {
    "an unknown key": ({"learning_rate": 1}, "learning_rate"),
    "an unknown key in a section": ({"optimizer": {"lr": 1, "momentum": 0.9}}, "momentum"),
    "an unknown key in a phase": ({"phases": [{"steps": 1, "batch_size": 1, "crop": 8}]}, "crop"),
    "a missing learning rate": ({"optimizer": {"final_lr": 0}}, "lr"),
    "a missing number of steps": ({"phases": [{"batch_size": 1}]}, "steps"),
    "a missing optimizer": ({"optimizer": None}, "optimizer"),
    "missing phases": ({"phases": None}, "phases"),
    "no phases": ({"phases": []}, "phases"),
    "a missing task": ({"task": None}, "task"),
    "an unknown task": ({"task": "vqvae"}, "vqvae"),
    "a section that is a number": ({"optimizer": 3}, "optimizer"),
    "phases that are a mapping": ({"phases": {"steps": 1, "batch_size": 1}}, "phases"),
    "a word for a number": ({"optimizer": {"lr": "fast"}}, "lr: expected a number"),
    "an unknown type of weights": ({"export_dtype": "float8"}, "export_dtype: expected one of float32, float16"),
    "a crop larger than the picture": ({"phases": [{"steps": 1, "batch_size": 1, "crop_px": 256}]}, "crop_px 256"),
    "a tokenizer that the task does not use": ({"first_stage": "a.ckpt"}, "has a first_stage"),
    "a missing tokenizer": ({"task": "transformer"}, "no first_stage"),
}


@pytest.mark.parametrize(("changes", "named"), BAD_RECIPES.values(), ids=BAD_RECIPES)
def test_a_recipe_is_refused_by_the_name_of_what_is_wrong_in_it(changes, named, tmp_path):
    with pytest.raises(ConfigError, match=named):
        read_recipe(str(write_recipe(tmp_path, "vqgan", **changes)))


@pytest.mark.parametrize("text", ["- a list", "task: [", "task: !!python/name:os.system", ""], ids=repr)
def test_a_file_that_is_no_recipe_is_refused(text, tmp_path):
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(ConfigError):
        read_recipe(str(tmp_path / "recipe.yaml"))


def test_an_unknown_preset_is_answered_with_the_known_ones():
    with pytest.raises(ConfigError, match="scenes_vqgan"):
        read_recipe("scenes_vqgam")


def test_overrides_change_values_and_unknown_ones_are_refused(tmp_path):
    file = str(write_recipe(tmp_path, "vqgan"))
    assert read_recipe(file, ["optimizer.lr=1e-4", "seed=9"]) == read_recipe(
        str(write_recipe(tmp_path, "vqgan", optimizer={"lr": 1e-4, "warmup_steps": 2}, seed=9))
    )
    for override in ("optimizer.rate=1", "sead=9", "model.codes=4"):
        with pytest.raises(ConfigError, match=override.partition("=")[0].rpartition(".")[2]):
            recipe = read_recipe(file, [override])
            config_from_dict(VQModelConfig, recipe.model, "model")


@pytest.mark.parametrize("preset", sorted(file.stem for file in PRESETS.glob("*.yaml")))
def test_every_preset_is_a_recipe_for_a_model_that_can_be_built(preset):
    draws_pictures = preset.startswith(("pictures_class", "pictures_words"))
    given = ["data.folder=pictures", "first_stage=tokenizer.ckpt"] if draws_pictures else []
    recipe = read_recipe(preset, given or (["data.folder=pictures"] if preset.startswith("pictures") else []))
    kinds = {"vqgan": (VQModelConfig, VQModel), "transformer": (TransformerConfig, Transformer)}
    kinds["map_vqgan"] = kinds["vqgan"]
    assert recipe.num_steps > 0
    if recipe.task == "vqgan_decoder":
        assert not recipe.model
    else:
        config, model = kinds[recipe.task]
        model(config_from_dict(config, recipe.model, "model"))
    assert bool(recipe.first_stage) == (recipe.task in ("vqgan_decoder", "transformer"))


def test_a_preset_for_ones_own_pictures_asks_for_them():
    with pytest.raises(ConfigError, match="pictures_class.yaml needs data.folder and first_stage"):
        read_recipe("pictures_class")


def test_steps_fall_into_the_phases_in_order():
    phases = (Phase(3, 8, 16), Phase(2, 4))
    recipe = Recipe("vqgan", Optimizer(1e-3), phases, model={})
    assert recipe.num_steps == 5
    assert [recipe.phase_at(step) for step in range(5)] == [phases[0]] * 3 + [phases[1]] * 2
    with pytest.raises(IndexError):
        recipe.phase_at(5)
