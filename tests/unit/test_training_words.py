"""Training on captions: their words, some left out at random, and a model that draws what it is asked for."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from recipes import GPT, SIZE_PX, VQGAN
from taming import get_condition, load_transformer
from taming.checkpoints import load_vqgan, save_checkpoint
from taming.conditioning import ClassCondition, Window, Word, WordList, encode_prompts
from taming.conditioning.words import FIRST_WORD, NULL, PAD
from taming.configs import config_from_dict
from taming.data import ArrayDataset, PictureFolder, Subset
from taming.errors import ConfigError
from taming.models import Transformer, TransformerConfig, VQModel, VQModelConfig
from taming.training import captions
from taming.training.batches import to_pixels
from taming.training.captions import drop_words, make_word_list
from taming.training.datasets import Data
from taming.training.loop import train
from taming.training.recipe import Recipe
from taming.training.resume import check_run
from taming.training.state import save_state
from taming.training.tasks.transformer import TransformerTask
from word_models import COLORS, MAX_WORDS, word_condition, write_captioned

CPU = torch.device("cpu")
CODES = 16
COLORED = WordList((Word("sea"), Word("boat"), Word("red", is_modifier=True), Word("blue", is_modifier=True)))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Data:
    folder = PictureFolder(write_captioned(tmp_path_factory.mktemp("captioned"), size_px=SIZE_PX))
    return Data(folder, Subset(folder, range(4)))


@pytest.fixture(scope="module")
def tokenizer(pictures: Data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random VQGAN with codes at the latents of the pictures, so that each color has tokens of its own."""
    torch.manual_seed(0)
    vqgan = VQModel(config_from_dict(VQModelConfig, VQGAN | {"quantizer": "vq"}, "model")).eval()
    with torch.no_grad():
        z = vqgan.encode_latents(to_pixels([pictures.training[number].image for number in range(2)]))
        latents = z.permute(0, 2, 3, 1).flatten(0, 2).unique(dim=0)  # (any, D)
        vqgan.quantize.start_at(latents[torch.linspace(0, len(latents) - 1, CODES).long()])
    file = tmp_path_factory.mktemp("tokenizer") / "tokenizer.safetensors"
    save_checkpoint(vqgan, file)
    return file


@pytest.fixture
def make_recipe(tokenizer: Path) -> Callable[..., Recipe]:
    def make(**changes: object) -> Recipe:
        values = {
            "task": "transformer",
            "first_stage": str(tokenizer),
            "condition": {"kind": "words", "max_words": MAX_WORDS},
            "model": GPT | {"block_size": MAX_WORDS + 63},
            "optimizer": {"lr": 5e-3, "warmup_steps": 5},
            "phases": [{"steps": 100, "batch_size": 8}],
            "data": {"size_px": SIZE_PX, "flip": False},
        }
        return config_from_dict(Recipe, values | changes, "recipe")

    return make


def test_a_model_learns_the_words_of_its_captions_and_draws_what_it_is_asked_for(
    make_recipe, pictures, tokenizer, tmp_path
):
    recipe = make_recipe()
    task = TransformerTask(recipe, pictures, tmp_path / "cache", CPU)
    before = task.evaluate()["held_out_loss"]
    assert train(task, recipe, tmp_path / "run")["held_out_loss"] < before / 4
    model, vqgan = load_transformer(tmp_path / "run" / "model.safetensors")
    word_list = model.config.condition.word_list
    assert word_list is not None and {word.name for word in word_list.words} == {"square", "number", *COLORS}
    assert model.config.n_unmasked == MAX_WORDS and model.config.cond_vocab_size == word_list.num_tokens
    expected = load_vqgan(tokenizer).encode(to_pixels([pictures.training[number].image for number in range(2)])).indices
    assert not torch.equal(*expected)
    for number, color in enumerate(COLORS):
        for prompt in (f"a {color} square", color):  # words were left out in training
            drawn = model.sample(get_condition(model, prompt=prompt), temperature=0.0)
            assert torch.equal(drawn[0], expected[number]), prompt
        guided = get_condition(model, negative=list(COLORS)[1 - number])
        drawn = model.sample(guided, temperature=0.0, guidance_scale=3.0)
        assert torch.equal(drawn[0], expected[number])


def test_a_prompt_is_read_in_sampling_as_it_was_in_training(make_recipe, pictures, tmp_path):
    task = TransformerTask(make_recipe(), pictures, tmp_path, CPU)
    model = task.model
    for number in range(len(pictures.training)):
        sample = pictures.training[number]
        prefix = get_condition(model, prompt=sample.caption or "").prefix.at(Window(0, 0, 8, 8, (8, 8)))
        assert torch.equal(task.reader.prefix([sample]), prefix)
        assert (task.training.prefix[number] == prefix.numpy()).all()


def test_captions_read_in_every_step_are_those_that_are_read_once(make_recipe, pictures, tmp_path):
    fresh = make_recipe(data={"size_px": SIZE_PX, "flip": False, "cache_tokens": False})
    tasks = [TransformerTask(recipe, pictures, tmp_path, CPU) for recipe in (make_recipe(), fresh)]
    for step in range(3):
        one, other = (task.batch(step, np.random.default_rng(step)) for task in tasks)
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_prompts_are_dropped_whole_and_word_by_word(make_recipe, pictures, tmp_path):
    loss = {"null_rate": 0.5, "word_dropout": 0.0}
    whole = TransformerTask(make_recipe(loss=loss), pictures, tmp_path, CPU)
    null = torch.tensor(whole.config.condition.null_tokens(CODES))
    rows = torch.cat([whole.batch(0, np.random.default_rng(seed))["prefix"] for seed in range(9)])
    assert 0 < (rows == null).all(1).float().mean() < 1
    lengths = {int((row >= CODES + FIRST_WORD).sum()) for row in rows}
    assert lengths == {0, 3}
    parts = TransformerTask(make_recipe(loss={"null_rate": 0.0}), pictures, tmp_path, CPU)
    rows = torch.cat([parts.batch(0, np.random.default_rng(seed))["prefix"] for seed in range(9)])
    assert {int((row >= CODES + FIRST_WORD).sum()) for row in rows} == {0, 1, 2, 3}


def test_what_is_left_of_a_prompt_is_whole_units_in_their_order():
    condition = word_condition(COLORED, class_names=(), class_prompts=())
    full = encode_prompts(condition, CODES, ["a red and blue boat on the sea", "blue, sea", None])
    sea, boat, red, blue = range(CODES + FIRST_WORD, CODES + FIRST_WORD + 4)
    assert full[0, :4].tolist() == [sea, red, blue, boat]
    generator = torch.Generator().manual_seed(0)
    seen = [set(), set(), set()]
    for _ in range(300):
        for item, row in enumerate(drop_words(full, condition, CODES, 0.4, generator).tolist()):
            seen[item].add(tuple(row))
    boats = [(), (boat,), (red, boat), (blue, boat), (red, blue, boat)]
    kept = {(*there, *boat_unit) for there in ((), (sea,)) for boat_unit in boats}
    pad, null = CODES + PAD, CODES + NULL
    filled = {tuple((*words, *[pad] * (MAX_WORDS - len(words)))) for words in kept if words}
    nothing = (null, *[pad] * (MAX_WORDS - 1))
    assert seen[0] == filled | {nothing}
    assert len(seen[1]) == 4 and seen[2] == {nothing}
    assert torch.equal(drop_words(full, condition, CODES, 0.0, generator), full)


def test_prompts_of_any_length_occur():
    condition = word_condition(WordList(tuple(Word(f"w{number}") for number in range(6)), is_sorted=False))
    full = encode_prompts(condition, CODES, ["w0 w1 w2 w3 w4 w5"] * 4000)
    lengths = (drop_words(full, condition, CODES, 0.3, torch.Generator().manual_seed(0)) >= CODES + FIRST_WORD).sum(1)
    shares = torch.bincount(lengths, minlength=7) / 4000
    assert shares[6] > 0.15 and shares[0] > 0.005 and (shares[1:] > 0.02).all()
    assert float(lengths.float().mean()) == pytest.approx(6 * 0.7, abs=0.1)


def test_the_words_of_captions_are_those_that_occur_twice_the_most_frequent_first(monkeypatch):
    texts = ["A cat and the cats", "cats on mats", "two dogs", "a dog", "a bird with a glass", "glass of the glasses"]
    word_list = make_word_list(texts)
    assert [word.name for word in word_list.words] == ["cat", "glass", "dog"]
    assert not word_list.is_sorted
    assert [word_list.name(token) for token in word_list.parse("a dog, two cats and a bird", 9).tokens] == [
        "dog",
        "cat",
    ]
    monkeypatch.setattr(captions, "MAX_WORDS", 2)
    assert len(make_word_list(texts).words) == 2
    with pytest.raises(ConfigError, match=r"no word occurs twice.*7\.txt"):
        make_word_list(["a cat", "a dog"])


def test_pictures_without_captions_are_counted_and_get_no_prompt(make_recipe, pictures, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        task = TransformerTask(make_recipe(), pictures, tmp_path, CPU)
    assert "1 of 12 images have no caption and get the null prompt." in caplog.text
    assert task.training.prefix[-1].tolist() == task.config.condition.null_tokens(CODES)
    bare = ArrayDataset([pictures.training[0].image] * 3)
    with pytest.raises(ConfigError, match=r"none of the 3 images has a caption.*7\.txt beside it"):
        TransformerTask(make_recipe(), Data(bare, bare), tmp_path, CPU)


def test_a_word_list_by_name_and_classes_come_from_the_recipe(make_recipe, pictures, tmp_path):
    condition = {"kind": "words", "max_words": MAX_WORDS, "vocabulary": "scene_words"}
    classes = {"alpine": "snowy mountains", 7: "a red cabin"}
    task = TransformerTask(make_recipe(condition=condition | {"class_prompts": classes}), pictures, tmp_path, CPU)
    prefix = get_condition(task.model, label="alpine, 7, 0").prefix.at(Window(0, 0, 8, 8, (8, 8)))
    assert torch.equal(prefix, encode_prompts(task.config.condition, CODES, [*classes.values(), "snowy mountains"]))
    red = encode_prompts(task.config.condition, CODES, ["red"])
    assert (task.training.prefix[0] == red[0].numpy()).all()  # the other words of its caption are unknown


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": GPT | {"block_size": 64}}, "model.block_size=69"),
        ({"model": GPT | {"block_size": 69, "cond_vocab_size": 5}}, "model.cond_vocab_size is 5.*Leave it out"),
        ({"model": GPT | {"block_size": 69, "n_unmasked": 2}}, "model.n_unmasked is 2"),
        ({"condition": {"kind": "unconditional"}, "model": GPT | {"cond_vocab_size": 5}}, "model.cond_vocab_size is 5"),
        ({"condition": {"kind": "words", "vocabulary": "sceens"}}, "no word list 'sceens'"),
        ({"condition": {"kind": "words", "class_prompts": {"alpine": 3}}}, "class_prompts: expected a text"),
        ({"condition": {"kind": "words", "class_prompts": {True: "a lamp"}}}, "a name as True. Put it in quotes"),
    ],
)
def test_a_recipe_that_does_not_fit_its_captions_is_refused(make_recipe, pictures, changes, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        TransformerTask(make_recipe(**changes), pictures, tmp_path, CPU)


def test_a_longer_word_list_keeps_what_was_learned_of_the_words_it_begins_with(make_recipe, pictures, tmp_path):
    first = TransformerTask(make_recipe(), pictures, tmp_path, CPU)
    save_checkpoint(first.model, tmp_path / "first.safetensors")
    texts = [pictures.training[number].caption or "" for number in range(12)]
    images = [pictures.training[number].image for number in range(12)]
    more = ArrayDataset(
        images, captions=[f"{text} large, large" if number < 2 else text for number, text in enumerate(texts)]
    )
    later = make_recipe(init_from=str(tmp_path / "first.safetensors"), seed=9)
    second = TransformerTask(later, Data(more, more), tmp_path, CPU)
    lists = [task.config.condition.word_list for task in (first, second)]
    assert None not in lists
    old, new = ([word.name for word in each.words] for each in lists)
    shared = len(os.path.commonprefix([old, new]))
    assert 0 < shared < len(new) and "large" in new
    rows = CODES + FIRST_WORD + shared
    tables = [task.model.tok_emb.weight for task in (first, second)]
    assert torch.equal(tables[0][:rows], tables[1][:rows]) and len(tables[1]) == CODES + FIRST_WORD + len(new)
    assert not torch.equal(tables[0][rows : rows + 1], tables[1][rows : rows + 1])
    assert torch.equal(first.model.pos_emb, second.model.pos_emb)


def test_a_class_model_passes_on_what_it_learned_of_the_cells(make_recipe, pictures, tmp_path):
    sizes = config_from_dict(TransformerConfig, GPT, "model")
    source = Transformer(replace(sizes, condition=ClassCondition(num_classes=3, null_label=3)))
    torch.nn.init.normal_(source.pos_emb)
    save_checkpoint(source, tmp_path / "class.safetensors")
    recipe = make_recipe(init_from=str(tmp_path / "class.safetensors"))
    model = TransformerTask(recipe, pictures, tmp_path, CPU).model
    assert torch.equal(model.tok_emb.weight[:CODES], source.tok_emb.weight)
    assert torch.equal(model.pos_emb[:, MAX_WORDS:], source.pos_emb[:, 1:])
    assert torch.equal(model.head.weight, source.head.weight)


def test_a_run_that_was_started_before_there_were_words_goes_on(make_recipe, tmp_path):
    """Its state has none of the settings that came with them."""
    recipe = make_recipe(condition={"kind": "class"})
    parts = {"step": 3, "num_micro": 1, "watch": {}, "modules": {}, "optimizers": {}}
    save_state(parts, recipe, tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    for name in ("max_words", "class_prompts"):
        del state["recipe"]["condition"][name]
    torch.save(state, tmp_path / "state.pt")
    begun = check_run(recipe, tmp_path)
    assert begun is not None and begun.step == 3
    with pytest.raises(ConfigError, match="holds a run of another recipe"):
        check_run(replace(recipe, seed=5), tmp_path)
