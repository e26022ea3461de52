"""The examples of the contract's Python section, line by line, on the models that come with the pack."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

import taming
from taming import generate_image, get_condition, load_checkpoint, load_transformer, load_vqgan
from taming.data import SCENE_CLASSES, render_scene
from taming.models import Transformer, VQModel

ASSETS = Path(taming.__file__).parent / "assets"
VQGAN_FILE = ASSETS / "scenes_vqgan.safetensors"
TRANSFORMER_FILE = ASSETS / "scenes_class_transformer.safetensors"


@pytest.fixture(scope="module")
def vqgan() -> VQModel:
    return load_vqgan(VQGAN_FILE)


@pytest.fixture(scope="module")
def transformer() -> Transformer:
    return load_transformer(TRANSFORMER_FILE)[0]


@pytest.fixture(scope="module")
def pixels() -> Tensor:
    """Two scenes as the tokenizer takes them, (2, 3, 128, 128) in [-1, 1]."""
    images = torch.stack([torch.from_numpy(render_scene(label, 1_000_000 + label).image) for label in (0, 1)])
    return images.permute(0, 3, 1, 2).float() / 127.5 - 1


def test_load_checkpoint_gives_whichever_model_the_file_holds():
    assert isinstance(load_checkpoint(VQGAN_FILE), VQModel)
    assert isinstance(load_checkpoint(TRANSFORMER_FILE), Transformer)


def test_the_embedded_tokenizer_is_what_the_design_says(vqgan):
    assert not vqgan.training
    assert vqgan.factor == 8 and vqgan.config.n_embed == 1024


def test_a_transformer_comes_with_its_first_stage(vqgan):
    transformer, first_stage = load_transformer(TRANSFORMER_FILE, config=None)
    assert isinstance(transformer, Transformer) and not transformer.training
    assert isinstance(first_stage, VQModel)
    codes = [model.state_dict()["quantize.embedding.weight"] for model in (first_stage, vqgan)]
    assert torch.equal(*codes)
    assert transformer.config.grid == (16, 16) and transformer.config.vocab_size == vqgan.config.n_embed
    assert transformer.config.condition.class_names == SCENE_CLASSES
    assert transformer.config.condition.null_label == len(SCENE_CLASSES)


@torch.no_grad()
def test_pictures_become_tokens_and_pictures_again(vqgan, pixels):
    quantized = vqgan.encode(pixels)
    assert quantized.indices.shape == (2, 16, 16)
    assert quantized.z_q.shape == (2, vqgan.config.embed_dim, 16, 16)
    assert quantized.loss.shape == ()
    decoded = vqgan.decode(quantized.z_q)
    assert decoded.shape == pixels.shape
    torch.testing.assert_close(vqgan.decode_indices(quantized.indices), decoded, rtol=0, atol=1e-4)


@torch.no_grad()
def test_a_transformer_gives_logits_for_indices(transformer):
    logits = transformer(torch.tensor([[0, 5, 9], [11, 1, 2]]), context=None)
    assert logits.shape == (2, 3, transformer.config.vocab_size) and logits.isfinite().all()


def test_a_condition_is_a_label_by_name_or_number_or_nothing(transformer):
    assert get_condition(transformer, label="alpine").prefix.tokens.tolist() == [[0]]
    assert get_condition(transformer, label="canyon, 3, City Night").prefix.tokens.tolist() == [[11], [3], [8]]
    assert get_condition(transformer).prefix.tokens.tolist() == [[12]]


def test_sampling_draws_as_many_tokens_as_asked_and_repeats(transformer):
    condition = get_condition(transformer, label="alpine")
    samples = transformer.sample(condition, num_steps=100, temperature=1.0)
    assert samples.shape == (1, 100) and samples.dtype == torch.int64
    assert samples.min() >= 0 and samples.max() < transformer.config.vocab_size
    assert torch.equal(samples, transformer.sample(condition, num_steps=100, temperature=1.0))
    assert not torch.equal(samples, transformer.sample(condition, num_steps=100, temperature=1.0, seed=1))


def test_generate_image_draws_a_picture_and_its_tokens_are_the_samples(vqgan, transformer):
    condition = get_condition(transformer, label="alpine")
    image = generate_image(vqgan, transformer, condition, seed=0)
    assert image.shape == (1, 3, 128, 128)
    assert image.min() >= 0 and image.max() <= 1
    with torch.no_grad():
        decoded = vqgan.decode_indices(transformer.sample(condition, seed=0))
    torch.testing.assert_close(image, (decoded.clamp(-1, 1) + 1) / 2)


def test_transform_keeps_what_the_mask_does_not_touch(vqgan, transformer, pixels):
    image, condition = (pixels[:1] + 1) / 2, get_condition(transformer, label="alpine")
    mask = torch.zeros(1, *image.shape[2:])
    mask[:, 64:] = 1
    changed = vqgan.transform(image, condition, strength=1.0, mask=mask)
    with torch.no_grad():
        reconstruction = (vqgan(pixels[:1])[0].clamp(-1, 1) + 1) / 2
    difference = (changed - reconstruction).abs().mean(dim=(0, 1, 3))  # by row
    assert difference[:32].max() < 0.1 < difference[80:].mean() * 4


def test_transform_draws_a_share_of_a_picture_again(vqgan, transformer, pixels):
    image = (pixels[:1] + 1) / 2
    condition = get_condition(transformer, label="alpine")
    changed = vqgan.transform(image, condition, strength=0.8)
    kept = vqgan.transform(image, condition, strength=0.0)
    assert changed.shape == image.shape
    assert changed.min() >= 0 and changed.max() <= 1
    assert not torch.equal(changed, kept)
    with torch.no_grad():
        reconstruction = vqgan(pixels[:1])[0]
    torch.testing.assert_close(kept, (reconstruction.clamp(-1, 1) + 1) / 2, rtol=0, atol=1e-4)
