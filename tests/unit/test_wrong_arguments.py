"""What the Python API says of arguments of another shape or kind, and which kinds of numbers it takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from condition_models import LABELS, write_models
from taming import generate_image, get_condition, load_transformer
from taming.conditioning import Box, ClassCondition
from taming.errors import ConditionError, ConfigError, TamingError, TokensError
from taming.models import Transformer, TransformerConfig, VQModel, VQModelConfig
from taming.sampling import choose_cells, forget_cells, sample_grid
from word_models import word_model

NAN = float("nan")
SEEDS = [np.int64(3), np.uint8(3), np.uint64(3), torch.tensor(3), np.array(3)]
TINY = VQModelConfig(n_embed=8, embed_dim=4, ch=32, ch_mult=(1, 1), num_res_blocks=1, attn_resolutions=(), z_channels=4)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "conditions"
    write_models(folder)
    return folder


@pytest.fixture(scope="module")
def vqgan() -> VQModel:
    torch.manual_seed(0)
    return VQModel(TINY).eval()


@pytest.fixture(scope="module")
def transformer() -> Transformer:
    condition = ClassCondition(num_classes=3, class_names=("cat", "dog", "fish"), null_label=3)
    return Transformer(
        TransformerConfig(vocab_size=8, block_size=5, n_layer=1, n_head=1, n_embd=8, grid=(2, 2), condition=condition)
    ).eval()


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: f"{type(seed).__module__}.{getattr(seed, 'dtype', '')}")
def test_a_seed_of_numpy_or_torch_is_the_same_seed(transformer: Transformer, seed: int):
    condition = get_condition(transformer, label=["cat", "dog"])
    assert torch.equal(transformer.sample(condition, seed=seed), transformer.sample(condition, seed=3))
    assert torch.equal(choose_cells((2, 4, 4), 0.5, seed), choose_cells((2, 4, 4), 0.5, 3))


@given(st.integers(0, 2**64 - 1))
@settings(max_examples=25, deadline=None)
def test_any_seed_of_64_bits_draws(seed: int):
    numbered = choose_cells((2, 4, 4), 0.5, seed)
    assert torch.equal(numbered, choose_cells((2, 4, 4), 0.5, np.uint64(seed)))


@pytest.mark.parametrize("seed", [1.0, 1.5, NAN, None, "3", 2**64, -(2**63) - 1, np.array([3, 4])])
def test_a_seed_that_is_none_is_refused_in_words(transformer: Transformer, seed: int):
    condition = get_condition(transformer, label="cat")
    with pytest.raises(TamingError, match=r"^seed is .*whole number from 0 to 18446744073709551615"):
        transformer.sample(condition, seed=seed)
    with pytest.raises(TamingError, match=r"^seed is "):
        choose_cells((1, 2, 2), 0.5, seed)


@pytest.mark.parametrize(
    ("label", "numbers"),
    [
        (np.int64(2), [2]),
        (np.uint8(2), [2]),
        (np.array(2), [2]),
        (np.array([0, 2]), [0, 2]),
        (torch.tensor(2), [2]),
        (torch.tensor([0, 2]), [0, 2]),
        (np.array(["cat", "fish"]), [0, 2]),
        ([np.int32(1), "fish", torch.tensor(0)], [1, 2, 0]),
        (range(2), [0, 1]),
    ],
)
def test_a_label_is_any_whole_number_or_an_array_of_them(transformer: Transformer, label, numbers: list[int]):
    assert get_condition(transformer, label=label).prefix.tokens.tolist() == [[number] for number in numbers]


@pytest.mark.parametrize("label", [1.5, NAN, [None], [[1, 2]], b"cat", [1.5, 2]])
def test_a_label_that_is_neither_name_nor_number_is_refused_in_words(transformer: Transformer, label):
    with pytest.raises(ConditionError, match="^(A label is the name or the number of a class; found|.* has no class) "):
        get_condition(transformer, label=label)


def test_numbers_of_thousands_of_digits_are_refused_in_words(models: Path, transformer: Transformer):
    """Python does not write them out: the message itself ended in ValueError."""
    boxes, _ = load_transformer(models / "boxes.ckpt")
    for number in (10**5000, -(10**5000)):
        for model in (transformer, word_model()):
            with pytest.raises(ConditionError, match="has no class a int that is too long to write out"):
                get_condition(model, label=number)
        with pytest.raises(ConditionError, match="^Box 1 is of class a int that is too long to write out"):
            boxes.sample(get_condition(boxes, boxes=[Box(number, 0.1, 0.1, 0.5, 0.5)]))
        with pytest.raises(ConditionError, match="^Box 1 has .* for x, y, width and height"):
            boxes.sample(get_condition(boxes, boxes=[Box(1, 0.1, number, 0.5, 0.5)]))
        with pytest.raises(ConditionError, match="^A label is the name or the number of a class"):
            get_condition(transformer, label=[[number]])
    with pytest.raises(ConditionError, match="^batch_size is a int"):
        get_condition(transformer, label="cat", batch_size=-(10**5000))
    with pytest.raises(TokensError, match="^grid is a tuple"):
        sample_grid(get_condition(transformer, label="cat"), grid=(-(10**5000), 2))


def test_a_label_of_thousands_of_digits_is_no_class(transformer: Transformer):
    with pytest.raises(ConditionError, match="no class '1{60,}") as refused:
        get_condition(transformer, label="1" * 5000)
    assert len(str(refused.value)) < 300


def test_the_label_of_a_box_may_be_a_number_of_numpy(models: Path):
    boxes, _ = load_transformer(models / "boxes.ckpt")
    place = (0.1, 0.1, 0.5, 0.5)
    ours, theirs = (get_condition(boxes, boxes=[Box(label, *place)]) for label in (3, np.int64(3)))
    assert ours == theirs or ours.prefix.layouts == theirs.prefix.layouts


FLAT = torch.zeros(12, 12)
WRONG = {
    "coordinates": [
        FLAT,
        FLAT[None, None],
        FLAT[0],
        FLAT[None].long(),
        FLAT[None, :1],
        FLAT[None, :0],
        FLAT[None] * NAN,
    ],
    "segmentation": [
        FLAT[0].long(),
        FLAT.long()[None, None],
        FLAT[None],
        FLAT[None].long() + LABELS,
        FLAT[None, :0].long(),
    ],
    "depth": [FLAT[0], FLAT[None, None, None], FLAT[None, None], FLAT[None] * NAN, FLAT[None, :0]],
}


@pytest.mark.parametrize(("kind", "number"), [(kind, number) for kind in WRONG for number in range(len(WRONG[kind]))])
def test_a_map_of_another_shape_or_kind_is_refused_in_words(models: Path, kind: str, number: int):
    model, _ = load_transformer(models / f"{kind}.ckpt")
    with pytest.raises(ConditionError, match="shape|NaN|labels"):
        get_condition(model, **{kind: WRONG[kind][number]})


@pytest.mark.parametrize("kind", ["coordinates", "segmentation", "depth"])
@pytest.mark.parametrize("value", [np.zeros((1, 12, 12)), [[0.5]], 3, "map.png"])
def test_a_map_that_is_no_tensor_is_refused_in_words(models: Path, kind: str, value: object):
    model, _ = load_transformer(models / f"{kind}.ckpt")
    with pytest.raises(
        ConditionError, match=f"^{kind} must be a tensor; found a {type(value).__name__}. torch.as_tensor"
    ):
        get_condition(model, **{kind: value})


BOX = Box(1, 0.1, 0.1, 0.5, 0.5)


@pytest.mark.parametrize("boxes", [BOX, [(1, 0, 0, 1, 1)], [BOX, [BOX]], [[BOX], BOX], [[BOX, None]], {"label": 1}, 3])
def test_boxes_that_are_none_are_refused_in_words(models: Path, boxes):
    """Beside lists of boxes, single ones were left out in silence."""
    model, _ = load_transformer(models / "boxes.ckpt")
    if boxes is BOX:
        assert get_condition(model, boxes=boxes).batch_size == 1
        return
    with pytest.raises(ConditionError, match="^boxes must be a list of taming.conditioning.Box"):
        get_condition(model, boxes=boxes)


@pytest.mark.parametrize("size", [0, -1, 2.0, "2"])
def test_a_batch_of_no_size_is_refused_in_words(transformer: Transformer, size: int):
    with pytest.raises(ConditionError, match="^batch_size is .*; it must be a whole number of 1 or more"):
        get_condition(transformer, label="cat", batch_size=size)


@pytest.mark.parametrize("grid", [(0, 2), (-1, 2), (1.0, 2.0), (1, 2, 3), (2,)])
def test_a_grid_that_is_none_is_refused_in_words(vqgan: VQModel, transformer: Transformer, grid):
    with pytest.raises(TokensError, match="^grid is .*height, width"):
        generate_image(vqgan, transformer, grid=grid)


@pytest.mark.parametrize("top_k", [1.5, "3", None])
def test_a_filter_that_is_no_number_is_refused_in_words(transformer: Transformer, top_k: int):
    with pytest.raises(ConfigError, match=r"^top_k is .*; it must be a whole number from 0 to 1e\+09"):
        transformer.sample(get_condition(transformer, label="cat"), top_k=top_k)


@pytest.mark.parametrize(
    "pixels",
    [
        torch.zeros(3, 8, 8),
        torch.zeros(1, 1, 3, 8, 8),
        torch.zeros(1, 1, 8, 8),
        torch.zeros(1, 8, 8, 3),
        torch.zeros(0, 3, 8, 8),
        torch.zeros(1, 3, 8, 8, dtype=torch.uint8),
        torch.zeros(1, 3, 1, 8),
        torch.full((1, 3, 8, 8), NAN),
        torch.full((1, 3, 8, 8), float("inf")),
    ],
)
def test_pixels_that_are_no_picture_are_refused_in_words(vqgan: VQModel, pixels: torch.Tensor):
    """NaN was encoded without a word."""
    with pytest.raises(TokensError, match="^Pixels have shape|is less than one token|NaN or infinite"):
        vqgan.encode(pixels)


def test_a_picture_of_nan_is_not_changed_in_silence(vqgan: VQModel, transformer: Transformer):
    condition, image = get_condition(transformer, label="cat"), torch.zeros(1, 3, 4, 4)
    with pytest.raises(TokensError, match="NaN"):
        vqgan.transform(image * NAN, condition)
    with pytest.raises(TokensError, match="the mask has values that are NaN"):
        vqgan.transform(image, condition, mask=image[0, :1] * NAN)
    with pytest.raises(TokensError, match="^patch is 1.5"):
        vqgan.transform(image, condition, patch=1.5)  # pyright: ignore[reportArgumentType]
    assert forget_cells(torch.ones(1, 4, 4), (1, 2, 2), 2).all()


@pytest.mark.parametrize(
    "indices",
    [
        torch.zeros(2, 2, dtype=torch.int64),
        torch.zeros(1, 1, 2, 2, dtype=torch.int64),
        torch.zeros(0, 2, 2, dtype=torch.int64),
        torch.zeros(1, 2, 2),
        torch.full((1, 2, 2), 8),
        torch.full((1, 2, 2), -1),
    ],
)
def test_tokens_that_the_codebook_lacks_are_refused_in_words(vqgan: VQModel, indices: torch.Tensor):
    """On a GPU an index out of range ends every later call too."""
    with pytest.raises(TokensError, match="^Tokens have shape|this tokenizer has 0 to 7"):
        vqgan.decode_indices(indices)
