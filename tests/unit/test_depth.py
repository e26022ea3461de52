"""Depth maps: every map on its own scale, whatever depth nodes give."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from taming.conditioning.depth import depth_from_picture, normalize_depth
from taming.errors import ConditionError


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def maps() -> Tensor:
    """Three maps of very different ranges: MiDaS's, a picture's, meters."""
    ranges = torch.tensor([[0.0, 4000.0], [0.2, 0.7], [-3.0, 80.0]])
    noise = torch.rand(3, 24, 16, generator=seeded(0))
    return ranges[:, :1, None] + noise * (ranges[:, 1:, None] - ranges[:, :1, None])


def test_every_map_of_a_batch_fills_the_whole_range(maps):
    depth = normalize_depth(maps)
    assert depth.shape == (3, 1, 24, 16) and depth.dtype == torch.float32
    assert torch.equal(depth.amin(dim=(1, 2, 3)), torch.full((3,), -1.0))
    assert torch.equal(depth.amax(dim=(1, 2, 3)), torch.full((3,), 1.0))


def test_a_map_means_the_same_alone_and_in_a_batch(maps):
    assert torch.equal(normalize_depth(maps)[1:2], normalize_depth(maps[1:2]))


def test_a_channel_axis_changes_nothing(maps):
    assert torch.equal(normalize_depth(maps[:, None]), normalize_depth(maps))


def test_the_numbers_are_those_of_the_reference(maps):
    for ours, depth in zip(normalize_depth(maps), maps.double(), strict=True):
        theirs = 2 * (depth - depth.min()) / max(1e-8, float(depth.max() - depth.min())) - 1
        assert torch.allclose(ours[0].double(), theirs, rtol=0, atol=1e-6)


@given(scale=st.floats(1e-2, 1e4), offset=st.floats(-100, 100))
def test_near_stays_near_whatever_the_unit(scale, offset):
    depth = torch.linspace(0, 1, 40).reshape(1, 5, 8)
    scaled = normalize_depth(depth * scale + offset).flatten()
    assert bool((scaled.diff() >= 0).all())
    assert scaled[0] == -1 and scaled[-1] == 1


@pytest.mark.parametrize("value", [0.0, 1.0, -7.5, 3e4])
def test_a_flat_map_is_all_far_as_in_the_reference(value):
    assert torch.equal(normalize_depth(torch.full((2, 4, 4), value)), torch.full((2, 1, 4, 4), -1.0))


@pytest.mark.parametrize("dtype", [torch.float16, torch.uint8, torch.int32, torch.float64])
def test_any_number_type_becomes_float32(dtype):
    depth = normalize_depth(torch.arange(12).reshape(1, 3, 4).to(dtype))
    assert torch.equal(depth, normalize_depth(torch.arange(12.0).reshape(1, 3, 4)))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_no_depth_are_refused_and_counted(maps, value):
    maps[1, 3, :5] = value
    with pytest.raises(ConditionError, match="5 of 1152 values are NaN or infinite"):
        normalize_depth(maps)


def test_an_infinite_map_is_refused():
    """Its span is NaN, not infinite."""
    with pytest.raises(ConditionError, match="16 of 16 values"):
        normalize_depth(torch.full((1, 4, 4), float("inf")))


def test_a_range_beyond_float32_is_refused():
    with pytest.raises(ConditionError, match="overflows"):
        normalize_depth(torch.tensor([[[-3e38, 3e38]]]))


@pytest.mark.parametrize("shape", [(4, 4), (1, 3, 4, 4), (1, 4, 4, 1), (0, 4, 4), (1, 1, 1, 4, 4)])
def test_another_shape_is_refused(shape):
    with pytest.raises(ConditionError, match=r"\(B, H, W\)"):
        normalize_depth(torch.zeros(shape))


def test_a_gray_picture_is_its_depth(maps):
    gray = normalize_depth(maps)[:, 0] / 2 + 0.5
    picture = gray[..., None].expand(-1, -1, -1, 3)
    assert torch.allclose(depth_from_picture(picture), gray, atol=1e-6)
    assert torch.allclose(normalize_depth(depth_from_picture(picture)), normalize_depth(maps), atol=1e-5)


def test_a_depth_picture_in_false_colors_is_refused():
    ramp = torch.linspace(0, 1, 64).reshape(1, 8, 8)
    with pytest.raises(ConditionError, match="in color"):
        depth_from_picture(torch.stack([ramp, 1 - ramp, ramp * 0], dim=-1))


@pytest.mark.parametrize("shape", [(4, 4, 3), (1, 4, 4), (1, 4, 4, 1), (1, 3, 4, 4)])
def test_a_depth_picture_of_another_shape_is_refused(shape):
    with pytest.raises(ConditionError, match=r"\(B, H, W, 3\)"):
        depth_from_picture(torch.zeros(shape))
