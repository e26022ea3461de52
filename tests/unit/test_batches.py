"""Batches: which pictures a step sees, and what is never trained on."""

from dataclasses import replace

import numpy as np
import torch

from recipes import SIZE_PX
from short_runs import all_pixels
from taming.data import ArrayDataset, Subset
from taming.training.batches import augmentation, image_batch, step_rng
from taming.training.datasets import Data, open_data, split
from taming.training.recipe import DataSettings


def batch_of(scenes: Data, settings: DataSettings, seed: int = 0, step: int = 0, count: int = 6, crop_px: int = 0):
    return image_batch(scenes.training, count, augmentation(settings, crop_px), step_rng(seed, step))


def test_scenes_are_rendered_once_and_then_read(tmp_path):
    settings = DataSettings(count=3, held_out=1, size_px=16)
    open_data(settings, tmp_path)
    (written,) = tmp_path.glob("classes-16px-0-3-*/images.npy")
    before = written.stat().st_mtime_ns
    again = open_data(settings, tmp_path)
    assert written.stat().st_mtime_ns == before and (len(again.training), len(again.held_out)) == (3, 1)


def test_a_batch_follows_from_seed_and_step_alone(scenes):
    settings = DataSettings(size_px=SIZE_PX, largest_scale=1.5, color=0.2)
    batch, again, next_step, other_seed = (
        batch_of(scenes, settings, *key, crop_px=16) for key in ((1, 7), (1, 7), (1, 8), (2, 7))
    )
    assert torch.equal(batch, again)
    assert not torch.equal(batch, next_step) and not torch.equal(batch, other_seed)


def test_hues_turn_by_a_quarter_of_color_unless_their_own_setting_says_more(scenes):
    settings = DataSettings(size_px=SIZE_PX, color=0.2)
    assert torch.equal(batch_of(scenes, settings), batch_of(scenes, replace(settings, hue=0.05)))
    turned = batch_of(scenes, replace(settings, color=0.0, hue=0.5)) - batch_of(scenes, replace(settings, color=0.0))
    luma = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
    assert turned.abs().mean() > 0.1
    assert (turned * luma).sum(1).abs().median() < 0.02, "the brightness changed"


def test_a_batch_of_whole_pictures_holds_scenes_and_their_mirror_images(scenes):
    known = all_pixels(scenes)
    known = torch.cat([known, known.flip(3)])
    batch = batch_of(scenes, DataSettings(size_px=SIZE_PX), count=32)
    found = [(known == picture).flatten(1).all(1).nonzero().flatten().tolist() for picture in batch]
    assert batch.shape == (32, 3, SIZE_PX, SIZE_PX)
    assert all(found) and {matches[0] // len(scenes.training) for matches in found} == {0, 1}


def test_crops_have_the_asked_size_and_lie_anywhere(scenes):
    batch = batch_of(scenes, DataSettings(size_px=SIZE_PX), step=1, count=16, crop_px=16)
    assert batch.shape == (16, 3, 16, 16)
    assert batch.unique(dim=0).shape[0] == 16
    assert -1 <= batch.min() < batch.max() <= 1


def test_held_out_pictures_are_spread_over_a_folder_and_never_trained_on(scenes):
    pictures = ArrayDataset(np.zeros((95, 8, 8, 3), np.uint8), range(95), class_names=tuple(map(str, range(95))))
    data = split(pictures, 5)
    chosen, rest = ([part[i].label for i in range(len(part))] for part in (data.held_out, data.training))
    assert chosen == [9, 28, 47, 66, 85] and sorted(chosen + rest) == list(range(95))
    assert len(split(pictures, 50).held_out) == 9
    assert split(Subset(pictures, range(3)), 5).held_out[0].label == 0  # too few: they are measured on themselves
