"""Recipes scaled to another length, and the picture of a loss curve."""

import numpy as np
import pytest
from PIL import Image

from taming.configs import read_preset
from taming.errors import ConfigError
from taming.training.length import with_num_steps
from taming.training.loss_curve import SMOOTHED, loss_chart, running_mean
from taming.training.recipe import read_recipe


@pytest.mark.parametrize("preset", ["scenes_vqgan", "pictures_vqgan", "scenes_class"])
@pytest.mark.parametrize("steps", [1, 7, 300, 100_000])
def test_a_scaled_recipe_has_the_steps_asked_for_and_everything_begins_inside_of_it(preset, steps):
    recipe = with_num_steps(read_recipe(preset, ["data.folder=x"]), steps)
    assert recipe.num_steps == steps
    assert recipe.optimizer.warmup_steps <= steps
    begins = [recipe.loss.get(name) or 0 for name in ("quantize_from", "adversarial_from", "discriminator_from")]
    assert max(begins) <= steps


def test_a_recipe_scaled_to_its_own_length_is_itself():
    recipe = read_recipe("scenes_vqgan")
    assert with_num_steps(recipe, recipe.num_steps) == recipe


def test_phases_keep_their_shares():
    recipe = read_recipe("scenes_vqgan")
    half = with_num_steps(recipe, recipe.num_steps // 2)
    assert [phase.steps for phase in half.phases] == [phase.steps // 2 for phase in recipe.phases]
    assert half.loss["quantize_from"] == recipe.loss["quantize_from"] // 2
    assert half.loss["l1"] == recipe.loss["l1"]


def test_a_gumbel_temperature_is_scaled_too():
    gumbel = ["loss.gumbel={warmup_steps: 100, decay_steps: 4100, final: 0.5}"]
    recipe = read_recipe("scenes_vqgan", gumbel)
    assert with_num_steps(recipe, 410).loss["gumbel"] == {"warmup_steps": 10, "decay_steps": 410, "final": 0.5}


def test_only_the_keys_that_are_named_may_stay_open():
    values = read_preset("pictures_class_small", (), ("data.folder", "first_stage"))
    assert values["first_stage"] == values["data"]["folder"] == "???"
    with pytest.raises(ConfigError, match="needs first_stage"):
        read_preset("pictures_class_small", (), ("data.folder",))


def smooth_line(chart: Image.Image) -> np.ndarray:
    """Mean height of the smooth line in each column that it touches, from below."""
    is_line = (np.asarray(chart) == SMOOTHED).all(-1)
    return np.array([len(column) - np.nonzero(column)[0].mean() for column in is_line.T if column.any()])


def test_a_curve_falls_as_the_loss_does_and_grows_with_the_run():
    losses = [1 / (1 + step) for step in range(200)]
    half, whole = (smooth_line(loss_chart(losses[:count], 200, (400, 150))) for count in (100, 200))
    assert whole[0] > whole[-1]
    assert 0.4 < len(half) / len(whole) < 0.6


@pytest.mark.parametrize("losses", [[], [0.5], [0.0, 0.0], [2.0] * 9, [-1.0, -1.0]])
def test_a_curve_of_few_or_equal_losses_is_a_picture_too(losses):
    assert loss_chart(losses, 10, (200, 100)).size == (200, 100)


def test_a_running_mean_looks_back_only():
    assert running_mean([1.0, 3.0, 5.0, 7.0], 2) == [1.0, 2.0, 4.0, 6.0]
