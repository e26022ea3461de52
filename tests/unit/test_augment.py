"""Augmentation: picture, maps, crop and flip stay in step, whatever is drawn; the same seed draws the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taming.conditioning.boxes import Box, BoxFormat, decode_boxes, encode_boxes
from taming.data import (
    CenterCrop,
    ColorJitter,
    Compose,
    Flip,
    RandomCrop,
    RandomScale,
    ResizeShorter,
    Sample,
    SampleBox,
)
from taming.errors import ConfigError, TamingError

seeds = st.integers(0, 2**32)
sides = st.integers(9, 40)
MOVES = st.lists(
    st.sampled_from([Flip(0.5), Flip(1.0), RandomCrop(9), CenterCrop(9), lambda sample, rng: shrink(sample, rng)]),
    max_size=5,
)


def shrink(sample, rng):
    """A crop of any shape that leaves 9 px, as somebody's own augmentation."""
    height, width = sample.image.shape[:2]
    new_height, new_width = (int(rng.integers(9, side + 1)) for side in (height, width))
    top, left = int(rng.integers(height - new_height + 1)), int(rng.integers(width - new_width + 1))
    return sample.cropped(left, top, new_width, new_height)


def numbered(height, width):
    """Every pixel holds its own column and row, in the picture as in the maps."""
    rows, columns = np.mgrid[:height, :width].astype(np.uint8)
    image = np.stack([columns, rows, columns ^ rows], axis=2)
    return Sample(image, segmentation=columns ^ rows, depth=(columns * 100.0 + rows).astype(np.float32))


def smooth(height, width):
    """A picture whose colors tell where in it they are, at any size."""
    y, x = (np.mgrid[:height, :width] + 0.5) / np.array([height, width]).reshape(2, 1, 1)
    image = np.stack([x, y, x], axis=2) * 255
    return Sample(image.astype(np.uint8), segmentation=(x * 255).astype(np.uint8), depth=y.astype(np.float32))


@given(sides, sides, MOVES, seeds)
def test_maps_stay_on_their_pixels_through_any_crops_and_flips(height, width, steps, seed):
    sample = Compose(tuple(steps))(numbered(height, width), np.random.default_rng(seed))
    columns, rows = sample.image[..., 0], sample.image[..., 1]
    assert (sample.segmentation == sample.image[..., 2]).all()
    assert (sample.depth == columns * 100.0 + rows).all()


@given(sides, sides, MOVES, seeds)
def test_crop_and_flip_tell_where_every_pixel_came_from(height, width, steps, seed):
    whole = numbered(height, width)
    sample = Compose(tuple(steps))(whole, np.random.default_rng(seed))
    x, y, crop_width, crop_height = sample.crop
    left, right = round(x * width), round((x + crop_width) * width)
    top, bottom = round(y * height), round((y + crop_height) * height)
    expected = whole.image[top:bottom, left:right]
    assert (sample.image == (expected[:, ::-1] if sample.is_flipped else expected)).all()


@settings(deadline=None)
@given(st.integers(40, 90), st.integers(40, 90), st.floats(0.6, 1.0), st.floats(1.0, 2.0), seeds)
def test_scaling_crops_and_flips_together_still_tell_where_the_picture_came_from(height, width, low, high, seed):
    steps = (ResizeShorter(48), RandomScale(low, high), Flip(), RandomCrop(24), Flip(), RandomCrop(16))
    sample = Compose(steps)(smooth(height, width), np.random.default_rng(seed))
    x, y, crop_width, crop_height = sample.crop
    across, down = (np.arange(16) + 0.5) / 16, (np.arange(16) + 0.5) / 16
    expected_x = x + crop_width * (1 - across if sample.is_flipped else across)
    # Two source pixels: resampling ends at the edge of the picture, and 8 bits are coarse.
    slack = 2.0 / min(height, width) + 2 / 255
    assert np.abs(sample.image[..., 0] / 255 - expected_x).max() < slack
    assert np.abs(sample.image[..., 1] / 255 - (y + crop_height * down)[:, None]).max() < slack
    assert np.abs(sample.segmentation / 255 - expected_x).max() < slack
    assert np.abs(sample.depth - (y + crop_height * down)[:, None]).max() < slack


@given(sides, sides, seeds)
def test_a_crop_in_a_flipped_picture_tells_a_box_transformer_the_same_as_a_flip_after_the_crop(height, width, seed):
    """encode_boxes takes the crop first and the flip afterwards; a sample's fields must mean the same."""
    box = SampleBox(1, 0.25, 0.25, 0.5, 0.5)
    sample = Compose((Flip(1.0), RandomCrop(9)))(numbered(height, width), np.random.default_rng(seed))
    format = BoxFormat(num_classes=3, num_tokens=8192, max_objects=2)
    boxes = [Box(box.label, box.x, box.y, box.width, box.height)]
    told = decode_boxes(format, encode_boxes(format, boxes, sample.crop, sample.is_flipped))
    first_column = int(sample.image[0, 0, 0])  # in the picture as it was
    assert sample.is_flipped
    assert told.crop[0] == pytest.approx(1 - (first_column + 1) / width, abs=1 / 89)


@given(seeds)
def test_boxes_stay_in_the_whole_picture(seed):
    box = SampleBox(3, 0.1, 0.2, 0.3, 0.4)
    sample = Sample(np.zeros((30, 40, 3), np.uint8), boxes=(box,))
    changed = Compose((Flip(), RandomScale(1.0, 2.0), RandomCrop(20)))(sample, np.random.default_rng(seed))
    assert changed.boxes == (box,)


def test_the_same_seed_repeats_everything_and_another_one_does_not():
    augment = Compose((RandomScale(1.0, 2.0), RandomCrop(20), Flip(), ColorJitter(0.3, 0.3, 0.3, 0.1)))
    first, again, other = (augment(smooth(30, 40), np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert (first.image == again.image).all() and first.crop == again.crop
    assert first.crop != other.crop


def test_an_augmentation_leaves_its_sample_as_it_was():
    sample = numbered(20, 20)
    before = sample.image.tobytes(), sample.segmentation.tobytes(), sample.depth.tobytes()
    Compose((ColorJitter(0.5, 0.5, 0.5, 0.5), Flip(1.0), RandomScale(0.6, 0.8), CenterCrop(9)))(
        sample, np.random.default_rng(0)
    )
    assert before == (sample.image.tobytes(), sample.segmentation.tobytes(), sample.depth.tobytes())


def test_every_place_of_a_random_crop_and_both_sides_of_a_flip_come_up():
    rng = np.random.default_rng(0)
    corners = {tuple(RandomCrop(9)(numbered(11, 10), rng).image[0, 0, :2]) for _ in range(200)}
    assert len(corners) == 6
    flips = sum(Flip(0.25)(numbered(9, 9), rng).is_flipped for _ in range(400))
    assert 60 < flips < 140


@pytest.mark.parametrize("size", [(64, 30), (30, 64), (7, 100), (16, 16)])
def test_the_shorter_side_gets_the_size_asked_for_and_the_shape_stays(size):
    resized = ResizeShorter(16)(smooth(*size), np.random.default_rng(0)).image.shape[:2]
    assert min(resized) == 16
    assert resized[0] / resized[1] == pytest.approx(size[0] / size[1], rel=0.05)


def test_shrinking_averages_instead_of_picking_pixels():
    """Without antialiasing a fine checkerboard becomes black, white or stripes; it must become gray."""
    board = (np.indices((256, 256)).sum(0) % 2 * 255).astype(np.uint8)
    image = ResizeShorter(16)(Sample(np.stack([board] * 3, axis=2)), np.random.default_rng(0)).image
    assert np.abs(image.astype(int) - 127).max() <= 2


def test_resized_segments_are_segments_that_were_there():
    segments = np.where(np.arange(64) < 31, 3, 200).astype(np.uint8)[None].repeat(64, 0)
    sample = Sample(np.zeros((64, 64, 3), np.uint8), segmentation=segments)
    assert set(np.unique(ResizeShorter(17)(sample, np.random.default_rng(0)).segmentation)) == {3, 200}


def test_jitter_changes_colors_only_and_keeps_gray_gray_under_another_hue_or_saturation():
    gray = Sample(np.arange(0, 250, 10, dtype=np.uint8).repeat(15).reshape(25, 5, 3))
    changed = ColorJitter(saturation=1.0, hue=0.5)(gray, np.random.default_rng(3))
    assert np.abs(changed.image.astype(int) - gray.image).max() <= 1
    sample = numbered(20, 20)
    jittered = ColorJitter(0.5, 0.5, 0.5, 0.2)(sample, np.random.default_rng(3))
    assert (jittered.image != sample.image).any()
    assert (jittered.segmentation == sample.segmentation).all() and (jittered.depth == sample.depth).all()


def test_each_jitter_moves_what_it_is_named_after():
    rng = np.random.default_rng(5)
    pixels = rng.integers(90, 160, (16, 16, 3)).astype(np.uint8)
    luma = pixels @ np.array([0.299, 0.587, 0.114])

    def spread(image):
        return float((image.max(2).astype(int) - image.min(2)).mean())

    for seed in range(5):
        draw = np.random.default_rng(seed).uniform(-1, 1, 4)
        after = {
            name: ColorJitter(**{name: 0.2})(Sample(pixels), np.random.default_rng(seed)).image
            for name in ("brightness", "contrast", "saturation", "hue")
        }
        lumas = {name: image @ np.array([0.299, 0.587, 0.114]) for name, image in after.items()}
        assert lumas["brightness"].mean() == pytest.approx(luma.mean() * (1 + 0.2 * draw[0]), abs=1)
        assert lumas["contrast"].mean() == pytest.approx(luma.mean(), abs=1)
        assert lumas["contrast"].std() == pytest.approx(luma.std() * (1 + 0.2 * draw[1]), rel=0.05)
        assert np.abs(lumas["saturation"] - luma).max() < 2
        assert spread(after["saturation"]) == pytest.approx(spread(pixels) * (1 + 0.2 * draw[2]), rel=0.05)
        assert np.abs(lumas["hue"] - luma).max() < 2


@pytest.mark.parametrize("crop", [RandomCrop(32), CenterCrop(32)])
def test_a_picture_smaller_than_the_crop_is_refused_with_advice(crop):
    with pytest.raises(TamingError, match=r"40x20 px.*ResizeShorter\(32\)"):
        crop(numbered(20, 40), np.random.default_rng(0))


@pytest.mark.parametrize(
    "make",
    [
        lambda: RandomScale(0.0, 1.0),
        lambda: RandomScale(2.0, 1.0),
        lambda: RandomScale(1.0, float("nan")),
        lambda: Flip(1.5),
        lambda: ResizeShorter(0),
        lambda: RandomCrop(-1),
        lambda: CenterCrop(0),
        lambda: ColorJitter(hue=0.6),
        lambda: ColorJitter(brightness=-0.1),
    ],
)
def test_settings_that_make_no_sense_are_refused_before_training_starts(make):
    with pytest.raises(ConfigError, match="give|from 0"):
        make()
