"""Edits of a token grid: masks to cells, strength nested and seeded, padding, and known cells that survive."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from taming.conditioning import Condition, Unconditional, get_condition
from taming.errors import TokensError
from taming.models import Transformer, TransformerConfig
from taming.sampling import generate, item_seed
from taming.sampling.edits import choose_cells, forget_cells, pad_cells

SIDES = st.integers(1, 7)
SEEDS = st.integers(0, 2**64 - 1)
STRENGTHS = st.floats(0, 1)
GRID = (4, 5)


@st.composite
def shapes(draw: st.DrawFn) -> tuple[int, int, int]:
    return draw(st.integers(1, 3)), draw(SIDES), draw(SIDES)


@st.composite
def bools(draw: st.DrawFn, shape: tuple[int, ...]) -> Tensor:
    """Anything from nothing to everything, and mostly something between."""
    share = draw(st.sampled_from([0.0, 0.02, 0.3, 0.7, 1.0]))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    return torch.rand(shape, generator=generator) < share


@st.composite
def masked_grids(draw: st.DrawFn) -> tuple[Tensor, tuple[int, int, int], int, int]:
    """A mask of any size, or one of the picture's size before it was cropped; with grid, factor and growth."""
    batch, height, width = shape = draw(shapes())
    factor = draw(st.integers(1, 8))
    if draw(st.booleans()):
        margins = st.integers(0, factor - 1)
        size = (height * factor + draw(margins), width * factor + draw(margins))
    else:
        size = (draw(st.integers(1, 40)), draw(st.integers(1, 40)))
    count = draw(st.sampled_from([1, batch]))
    return draw(bools((count, *size))).float(), shape, factor, draw(st.integers(0, 12))


def touched_interval(pixel: int, length: int, cells: int, factor: int, is_cropped: bool) -> tuple[Fraction, Fraction]:
    """Where one mask pixel lies along a side of the picture, in the picture's own pixels."""
    if is_cropped:
        start = Fraction(pixel - (length - cells * factor) // 2)
        return start, start + 1
    scale = Fraction(cells * factor, length)
    return pixel * scale, (pixel + 1) * scale


def oracle(mask: Tensor, shape: tuple[int, int, int], factor: int, grow_px: int) -> Tensor:
    """Pixel by pixel and cell by cell, in fractions."""
    batch, height, width = shape
    is_cropped = all(length // factor == cells for length, cells in zip(mask.shape[1:], shape[1:], strict=True))
    touched = torch.zeros(shape, dtype=torch.bool)
    for item in range(batch):
        for y, x in mask[item % len(mask)].nonzero().tolist():
            cells = []
            for pixel, length, count in ((y, mask.shape[1], height), (x, mask.shape[2], width)):
                start, end = touched_interval(pixel, length, count, factor, is_cropped)
                start, end = start - grow_px, end + grow_px
                cells.append([cell for cell in range(count) if start < (cell + 1) * factor and end > cell * factor])
            for row in cells[0]:
                touched[item, row, cells[1]] = True
    return touched


@settings(max_examples=150, deadline=None)
@given(masked_grids())
def test_any_mask_in_any_batch_equals_a_slow_oracle(case: tuple[Tensor, tuple[int, int, int], int, int]):
    assert torch.equal(forget_cells(*case), oracle(*case))


@pytest.mark.parametrize("size", [(32, 40), (320, 400), (1024, 99), (31, 6)])
def test_one_faint_pixel_is_enough_and_what_rounds_to_black_is_not(size: tuple[int, int]):
    mask = torch.zeros(1, *size)
    mask[0, 0, 0] = 1 / 255
    assert forget_cells(mask, (2, *GRID), 8)[:, 0, 0].all()
    assert not forget_cells(mask * 0.4, (2, *GRID), 8).any()


def test_growth_is_in_pixels_of_the_picture_whatever_the_size_of_the_mask():
    for scale in (1, 2, 4):
        mask = torch.zeros(1, 32 * scale, 40 * scale)
        mask[0, 8 * scale : 16 * scale, 16 * scale : 24 * scale] = 1
        reached = [int(forget_cells(mask, (1, *GRID), 8, grow_px).sum()) for grow_px in (0, 1, 8, 9, 1000)]
        assert reached == [1, 9, 9, 20, 20]


def test_a_mask_of_the_uncropped_picture_lies_where_it_lay_on_the_picture():
    """Stretched as a whole, its right edge would come to lie a cell further left."""
    mask = torch.zeros(1, 32, 47)
    mask[0, :, :3] = 1  # 47 px are cropped to 40: 3 px go on the left, 4 on the right
    assert not forget_cells(mask, (1, *GRID), 8).any()
    mask[0, :, 3] = 1
    assert forget_cells(mask, (1, *GRID), 8).nonzero()[:, 2].unique().tolist() == [0]


@pytest.mark.parametrize("masks", [0, 2, 4])
def test_another_number_of_masks_than_of_pictures_is_named(masks: int):
    with pytest.raises(TokensError, match=r"has \(0, 8, 8\)" if masks == 0 else f"{masks} masks for a batch of 3"):
        forget_cells(torch.ones(masks, 8, 8), (3, *GRID), 8)


def test_wrong_masks_and_numbers_are_named():
    with pytest.raises(TokensError, match=r"\(8, 8\)"):
        forget_cells(torch.ones(8, 8), (1, *GRID), 8)
    with pytest.raises(TokensError, match="-1 px"):
        forget_cells(torch.ones(1, 8, 8), (1, *GRID), 8, grow_px=-1)
    for strength in (-0.1, 1.1, float("nan")):
        with pytest.raises(TokensError, match="strength is"):
            choose_cells((1, *GRID), strength)
    with pytest.raises(TokensError, match="patch is 0"):
        choose_cells((1, *GRID), 0.5, patch=0)
    with pytest.raises(TokensError, match="bottom is -3"):
        pad_cells(torch.zeros(1, 2, 2), torch.zeros(1, 2, 2), 0, 0, 0, -3)


@settings(max_examples=100, deadline=None)
@given(st.data(), shapes(), SEEDS, STRENGTHS, STRENGTHS)
def test_strength_is_nested_and_takes_its_share_of_the_masked_cells_alone(
    data: st.DataObject, shape: tuple[int, int, int], seed: int, one: float, other: float
):
    among = data.draw(bools(shape))
    less, more = [choose_cells(shape, strength, seed, among) for strength in sorted((one, other))]
    assert not (less & ~more).any() and not (more & ~among).any()
    counts = among.flatten(1).sum(1)
    assert ((more.flatten(1).sum(1) - max(one, other) * counts).abs() <= 0.5).all()
    assert torch.equal(choose_cells(shape, 1.0, seed, among), among)
    assert not choose_cells(shape, 0.0, seed, among).any()


@settings(max_examples=50, deadline=None)
@given(st.data(), shapes(), SEEDS, STRENGTHS)
def test_the_choice_in_an_item_does_not_depend_on_its_batch(
    data: st.DataObject, shape: tuple[int, int, int], seed: int, strength: float
):
    among = data.draw(bools(shape))
    chosen = choose_cells(shape, strength, seed, among)
    for size in range(1, shape[0] + 1):
        assert torch.equal(choose_cells((size, *shape[1:]), strength, seed, among[:size]), chosen[:size])
    everywhere = torch.ones(shape, dtype=torch.bool)
    assert torch.equal(choose_cells(shape, strength, seed, everywhere), choose_cells(shape, strength, seed))


@settings(max_examples=50, deadline=None)
@given(st.data(), shapes(), SEEDS, STRENGTHS, STRENGTHS, st.integers(2, 6))
def test_patches_are_nested_and_take_their_share_of_the_masked_cells_alone(
    data: st.DataObject, shape: tuple[int, int, int], seed: int, one: float, other: float, patch: int
):
    among = data.draw(bools(shape))
    less, more = [choose_cells(shape, strength, seed, among, patch) for strength in sorted((one, other))]
    assert not (less & ~more).any() and not (more & ~among).any()
    counts = among.flatten(1).sum(1)
    assert ((more.flatten(1).sum(1) - max(one, other) * counts).abs() <= 0.5).all()
    assert torch.equal(
        choose_cells((1, *shape[1:]), one, seed, among[:1], patch)[0], choose_cells(shape, one, seed, among, patch)[0]
    )


def test_a_patch_of_one_cell_chooses_as_ever():
    """Saved workflows and scripts forget what they forgot before patches were there."""
    chosen = choose_cells((1, 3, 5), 0.4, seed=7)
    assert chosen[0].flatten().nonzero()[:, 0].tolist() == [0, 3, 4, 6, 8, 12]


@pytest.mark.parametrize(("patch", "least", "most"), [(1, 0.4, 0.6), (2, 0.15, 0.3), (3, 0.1, 0.2), (4, 0.05, 0.16)])
def test_larger_patches_have_fewer_borders(patch: int, least: float, most: float):
    """The share of neighbors of which one is forgotten and one is not."""
    chosen = choose_cells((8, 32, 32), 0.5, seed=1, patch=patch)
    borders = (chosen[:, :, 1:] != chosen[:, :, :-1]).float().mean()
    assert least < borders < most


def test_patches_reach_the_edges_as_often_as_the_middle():
    chosen = choose_cells((400, 9, 9), 0.3, seed=2, patch=4).float().mean(0)
    assert chosen.min() > 0.2 and chosen.max() < 0.4


def test_items_and_seeds_choose_differently():
    chosen = choose_cells((4, 16, 16), 0.5, seed=3)
    assert chosen.flatten(1).unique(dim=0).shape[0] == 4
    assert not torch.equal(choose_cells((4, 16, 16), 0.5, seed=item_seed(3, 1)), chosen)


@settings(max_examples=50, deadline=None)
@given(st.data(), shapes(), st.tuples(*[st.integers(0, 3)] * 4))
def test_padding_moves_nothing_and_adds_only_the_unknown(
    data: st.DataObject, shape: tuple[int, int, int], sides: tuple[int, int, int, int]
):
    left, top, right, bottom = sides
    indices = torch.arange(1, 1 + shape[0] * shape[1] * shape[2]).view(shape)
    known = data.draw(bools(shape))
    padded, padded_known = pad_cells(indices, known, left, top, right, bottom)
    assert padded.shape == padded_known.shape == (shape[0], top + shape[1] + bottom, left + shape[2] + right)
    window = (slice(None), slice(top, top + shape[1]), slice(left, left + shape[2]))
    assert torch.equal(padded[window], indices) and torch.equal(padded_known[window], known)
    assert padded.sum() == indices.sum() and padded_known.sum() == known.sum()
    assert padded.dtype == torch.int64 and padded_known.dtype == torch.bool


@pytest.fixture(scope="module")
def condition() -> Condition:
    config = TransformerConfig(
        vocab_size=32, block_size=20, n_layer=1, n_head=2, n_embd=16, grid=GRID, condition=Unconditional()
    )
    transformer = Transformer(config).eval()
    for parameter in transformer.parameters():
        nn.init.normal_(parameter, std=0.5, generator=torch.Generator().manual_seed(0))
    return get_condition(transformer)


@settings(max_examples=25, deadline=None)
@given(data=st.data(), batch=st.integers(1, 3), seed=SEEDS, strength=STRENGTHS)
def test_known_cells_survive_any_mask_and_strength(
    condition: Condition, data: st.DataObject, batch: int, seed: int, strength: float
):
    shape = (batch, *GRID)
    indices = torch.randint(32, shape, generator=torch.Generator().manual_seed(seed))
    mask = data.draw(bools((batch, 32, 40)) | bools((1, 11, 7))).float()
    known = ~choose_cells(shape, strength, seed, forget_cells(mask, shape, 8, data.draw(st.integers(0, 9))))
    drawn = generate(condition, indices.masked_fill(~known, 0), known, seed=seed)
    assert torch.equal(drawn[known], indices[known])
    assert ((drawn >= 0) & (drawn < 32)).all()


def test_what_a_mask_forgot_is_drawn_anew(condition: Condition):
    shape = (2, *GRID)
    indices = torch.randint(32, shape, generator=torch.Generator().manual_seed(1))
    mask = torch.zeros(1, 32, 40)
    mask[:, 16:] = 1
    forget = choose_cells(shape, 1.0, among=forget_cells(mask, shape, 8))
    assert torch.equal(forget, (torch.arange(4) >= 2).view(1, 4, 1).expand(shape))
    drawn = generate(condition, indices, ~forget, seed=5)
    assert (drawn != indices)[forget].float().mean() > 0.5
