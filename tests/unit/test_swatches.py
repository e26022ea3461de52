"""Swatches: the same at every call, of every kind and hue, and part of a recipe's data when asked for."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from taming.data import SwatchDataset
from taming.data.swatches import PAINTERS, draw_colors, paint_swatch
from taming.errors import ConfigError
from taming.training.datasets import open_data
from taming.training.recipe import DataSettings, Optimizer, Phase, Recipe


def hues(colors: np.ndarray) -> np.ndarray:
    """Of colors (N, 3), in turns: the angle about the gray axis."""
    red, green, blue = colors.T
    return np.arctan2(np.sqrt(3) * (green - blue), 2 * red - green - blue) / (2 * np.pi) % 1


def test_a_swatch_follows_from_its_seed_and_has_the_size_asked_for():
    data = SwatchDataset(8, 40, first_seed=5)
    assert len(data) == 8 and len(list(data)) == 8
    assert data[2].image.shape == (40, 40, 3) and data[2].image.dtype == np.uint8
    assert (data[2].image == paint_swatch(7, 40)).all() and (data[-1].image == data[7].image).all()
    assert data.fingerprint == SwatchDataset(8, 40, first_seed=5).fingerprint != SwatchDataset(8, 40).fingerprint
    with pytest.raises(IndexError):
        data[8]


@pytest.mark.parametrize("size", [7, 64])
@pytest.mark.parametrize("paint", PAINTERS, ids=lambda paint: paint.__name__)
def test_colors_stay_in_range_at_every_size(paint, size):
    for seed in range(20):
        image = paint(np.random.default_rng(seed), size)
        assert image.shape == (size, size, 3) and image.min() >= 0 and image.max() < 255.4


def test_every_hue_is_as_likely_as_the_next():
    found = np.histogram(hues(draw_colors(np.random.default_rng(0), 6000)), 12, (0, 1))[0]
    assert found.min() > 430 and found.max() < 570
    means = np.array([image.reshape(-1, 3).mean(0) for image in (paint_swatch(seed, 16) for seed in range(600))])
    assert np.histogram(hues(means), 6, (0, 1))[0].min() > 60


def test_colors_are_mostly_saturated_and_bright():
    colors = draw_colors(np.random.default_rng(0), 4000)
    saturation = 1 - colors.min(1) / colors.max(1)
    assert (saturation > 0.5).mean() > 0.7 and (colors.max(1) > 128).mean() > 0.7
    assert (saturation < 0.2).any() and (colors.max(1) < 50).any()


def test_swatches_are_added_to_what_is_trained_on_only(tmp_path):
    settings = DataSettings(size_px=16, count=4, held_out=2, swatches=3)
    plain = open_data(replace(settings, swatches=0), tmp_path)
    data = open_data(settings, tmp_path)
    assert Counter(sample.image.tobytes() for sample in data.training) == Counter(
        sample.image.tobytes() for part in (plain.training, SwatchDataset(3, 16)) for sample in part
    )
    assert len(data.held_out) == 2 and data.held_out.class_names == data.training.class_names == ()


def test_swatches_beside_maps_are_refused():
    with pytest.raises(ConfigError, match="swatches have no maps"):
        Recipe("vqgan", Optimizer(1e-3), (Phase(1, 1),), {}, data=DataSettings(swatches=5, has_maps=True))
