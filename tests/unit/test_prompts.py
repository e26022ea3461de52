"""Drawing by prompts: what a transformer reads, guidance away from nothing or from a negative prompt, and its file."""

from __future__ import annotations

import json
import logging

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from taming import get_condition, load_transformer
from taming.checkpoints import save_checkpoint
from taming.conditioning import ClassCondition, Window
from taming.conditioning.words import FIRST_WORD, NULL, PAD
from taming.configs.sampling import PLAIN
from taming.errors import ConditionError, ConfigError, TokensError
from taming.models import Transformer, TransformerConfig, prepare_for_sampling
from taming.modules.fast.cuda_graph import CUDAGraphStep
from taming.modules.fast.packed_linear import can_pack
from taming.sampling import SamplingOptions, decoder, generate
from word_models import CODES, MAX_WORDS, SIDE, word_condition, word_model

WHOLE = Window(0, 0, SIDE, SIDE, (SIDE, SIDE))
GUIDED = SamplingOptions(guidance_scale=3.0)
NOTHING = [CODES + NULL] + [CODES + PAD] * (MAX_WORDS - 1)


@pytest.fixture(scope="module")
def model() -> Transformer:
    return word_model()


def prefix(model: Transformer, **given: object) -> list[list[int]]:
    return get_condition(model, **given).prefix.at(WHOLE).tolist()


def null_prefix(model: Transformer, **given: object) -> list[list[int]]:
    null = get_condition(model, **given).null_prefix
    assert null is not None
    return null.at(WHOLE).tolist()


def ids(*names: str) -> list[int]:
    words = [word.name for word in word_condition().word_list.words]
    tokens = [CODES + FIRST_WORD + words.index(name) for name in names]
    return tokens + [CODES + PAD] * (MAX_WORDS - len(tokens))


def draw(model: Transformer, options: SamplingOptions = PLAIN, seed: int = 0, **given) -> torch.Tensor:
    condition = get_condition(model, **given)
    blank = torch.zeros(condition.batch_size, SIDE, SIDE, dtype=torch.int64)
    return generate(condition, blank, torch.zeros_like(blank, dtype=torch.bool), options=options, seed=seed)


def test_a_prompt_is_its_words_behind_the_codes_and_pads(model):
    assert prefix(model, prompt="a red boat on the sea") == [ids("sea", "red", "boat")]
    assert prefix(model, prompt=["a lake", "Forest at night!"]) == [ids("lake"), ids("forest", "night")]


@pytest.mark.parametrize(
    "given", [{}, {"prompt": ""}, {"prompt": "xylophone"}, {"prompt": [""]}, {"label": ""}], ids=str
)
def test_a_prompt_that_says_nothing_is_the_null_prompt(model, given):
    assert prefix(model, **given) == null_prefix(model, **given) == [NOTHING]


def test_a_negative_prompt_stands_for_no_prompt(model):
    assert null_prefix(model, prompt="sea", negative="boats") == [ids("boat")]
    assert null_prefix(model, negative="boats") == [ids("boat")]
    assert null_prefix(model, prompt=["sea", "lake"], negative="boats") == [ids("boat")] * 2
    assert null_prefix(model, prompt=["sea", "lake"], negative=["boats", ""]) == [ids("boat"), NOTHING]
    assert prefix(model, prompt="sea", negative=["boats", "birds"]) == [ids("sea")] * 2
    with pytest.raises(ConditionError, match="3 prompts and 2 negative"):
        get_condition(model, prompt=["sea"] * 3, negative=["boats"] * 2)


def test_labels_are_prompts_after_a_look_at_the_classes(model):
    expected = [ids("mountains", "winter"), ids("sea", "sunset")]
    for label in ("alpine, sunset_sea", "0, 1", ["Alpine", "sunset sea"], [0, 1], "snowy mountains, sea at sunset"):
        assert prefix(model, label=label) == expected
    assert prefix(model, label=1) == expected[1:]
    for label in (2, "2", "-1", [0, 5]):
        with pytest.raises(ConditionError, match="no class .*alpine, sunset_sea"):
            get_condition(model, label=label)
    without = word_model(word_condition(class_names=(), class_prompts=()))
    assert prefix(without, label="alpine") == [ids("mountains")]
    with pytest.raises(ConditionError, match="no class '0': give it a prompt in words. It has none"):
        get_condition(without, label="0")


def test_what_does_not_go_together_is_refused(model):
    with pytest.raises(ConditionError, match="both were given"):
        get_condition(model, "alpine", prompt="sea")
    with pytest.raises(ConditionError, match="list of prompts is empty"):
        get_condition(model, prompt=[])
    with pytest.raises(ConditionError, match="trained to be told its prompt"):
        get_condition(model, depth=torch.zeros(1, 8, 8))
    sizes = {"vocab_size": 8, "block_size": 8, "n_layer": 1, "n_head": 1, "n_embd": 8, "grid": (2, 2)}
    classes = Transformer(TransformerConfig(**sizes, condition=ClassCondition(num_classes=3)))
    for name, words in (("prompt", "A prompt"), ("negative", "A negative prompt")):
        with pytest.raises(ConditionError, match=f"{words} was given to a transformer that was trained to be told"):
            get_condition(classes, **{name: "sea"})


def test_a_prompt_is_reported_once_for_a_batch(model, caplog):
    with caplog.at_level(logging.WARNING):
        get_condition(model, prompt=["a xylophone"] * 3)
    assert caplog.text.count("xylophone") == 1


def test_the_words_of_a_prompt_see_each_other_and_the_cells_see_only_back(model):
    with torch.no_grad():
        sequence = torch.cat([torch.tensor([ids("sea", "red", "boat")]), torch.arange(SIDE**2 - 1)[None]], dim=1)
        plain, changed = model(sequence), sequence.clone()
        changed[0, 2], changed[0, -1] = CODES + FIRST_WORD, CODES - 1
        other = model(changed)
    assert plain.shape == (1, MAX_WORDS + SIDE**2 - 1, CODES)
    different = (plain - other).abs().amax(-1)[0] > 1e-6
    assert different.all()  # the first word sees the third
    changed[0, 2] = sequence[0, 2]
    with torch.no_grad():
        different = (plain - model(changed)).abs().amax(-1)[0] > 1e-6
    assert different.tolist() == [False] * (len(different) - 1) + [True]


def test_the_prompt_and_the_negative_prompt_change_what_is_drawn(model):
    sea, lake = draw(model, prompt="sea"), draw(model, prompt="lake")
    assert not torch.equal(sea, lake)
    assert torch.equal(draw(model, prompt=["sea", "lake"])[:1], sea)
    plain = draw(model, GUIDED, prompt="sea")
    assert not torch.equal(plain, sea)
    assert not torch.equal(draw(model, GUIDED, prompt="sea", negative="boats"), plain)
    assert torch.equal(draw(model, GUIDED, prompt="sea", negative="sea"), sea)  # away from itself goes nowhere
    nothing = draw(model, SamplingOptions(guidance_scale=0.0), prompt="sea", negative="boats")
    assert torch.equal(nothing, draw(model, prompt="boats"))


def test_tokens_drawn_with_a_cache_are_those_of_the_whole_sequence(model):
    condition = get_condition(model, prompt=["sea", "a red boat"])
    drawn = generate(condition, *blank_grids(2), options=SamplingOptions(temperature=0.0)).flatten(1)
    with torch.no_grad():
        logits = model(torch.cat([condition.prefix.at(WHOLE), drawn[:, :-1]], dim=1))[:, MAX_WORDS - 1 :]
    assert torch.equal(logits.argmax(-1), drawn)


def blank_grids(batch: int, height: int = SIDE, width: int = SIDE) -> tuple[torch.Tensor, torch.Tensor]:
    grid = torch.zeros(batch, height, width, dtype=torch.int64)
    return grid, torch.zeros_like(grid, dtype=torch.bool)


@pytest.mark.parametrize("options", [SamplingOptions(), GUIDED])
def test_one_picture_drawn_by_guesses_is_one_of_a_batch(model, options):
    """A single grid is drawn several cells at a time, a batch one by one."""
    alone, pair = (draw(model, options, prompt=prompts) for prompts in (["sea"], ["sea", "sea"]))
    assert torch.equal(alone[0], pair[0])


def test_steps_of_a_recording_draw_the_same_tokens(model, monkeypatch):
    big = word_model(block_size=MAX_WORDS + 35, grid=(6, 6))
    condition = get_condition(big, prompt=["sea", "lake"], negative="boats")
    grids, made = blank_grids(2, 6, 6), []
    expected = generate(condition, *grids, options=GUIDED, seed=3)

    def uncaptured(transformer, cache, context):
        made.append(CUDAGraphStep(transformer, cache, context))
        return made[-1]

    monkeypatch.setattr(decoder, "capture_step", uncaptured)
    assert torch.equal(generate(condition, *grids, options=GUIDED, seed=3), expected)
    assert len(made) == 1


def test_a_wider_grid_is_drawn_through_windows_under_one_prompt(model):
    condition = get_condition(model, prompt="sea", negative="boats")
    wide = generate(condition, *blank_grids(1, SIDE, 3 * SIDE), options=GUIDED)
    assert wide.shape == (1, SIDE, 3 * SIDE) and int(wide.max()) < CODES


@pytest.mark.skipif(not can_pack("fp32"), reason="no kernels")
def test_packed_weights_draw_the_same_tokens(model):
    packed = word_model()
    prepare_for_sampling(packed)
    given = {"prompt": ["sea", "a red boat"], "negative": "birds"}
    assert torch.equal(draw(packed, GUIDED, **given), draw(model, GUIDED, **given))


def test_words_are_no_codes_of_a_picture(model):
    grid, known = blank_grids(1)
    with pytest.raises(TokensError, match=f"index {CODES}"):
        generate(get_condition(model, prompt="sea"), grid + CODES, ~known)


def test_a_saved_model_reads_the_same_prompts(model, tmp_path):
    save_checkpoint(model, tmp_path / "words.safetensors")
    loaded, _ = load_transformer(tmp_path / "words.safetensors")
    assert loaded.config == model.config
    given = {"label": "alpine", "negative": "boats"}
    assert torch.equal(draw(loaded, GUIDED, **given), draw(model, GUIDED, **given))
    with safe_open(tmp_path / "words.safetensors", "pt") as file:
        document = json.loads(file.metadata()["taming"])
    assert document["config"]["condition"]["word_list"]["words"][0]["name"] == "mountains"


def test_a_file_from_before_there_were_words_loads(tmp_path):
    """Configurations of earlier versions have none of the fields."""
    sizes = {"vocab_size": 8, "block_size": 4, "n_layer": 1, "n_head": 1, "n_embd": 8, "grid": (2, 2)}
    config = TransformerConfig(**sizes, condition=ClassCondition(num_classes=3, null_label=3))
    save_checkpoint(Transformer(config), tmp_path / "now.safetensors")
    with safe_open(tmp_path / "now.safetensors", "pt") as file:
        document = json.loads(file.metadata()["taming"])
    del document["config"]["cond_vocab_size"]
    for field in ("word_list", "max_words", "class_prompts"):
        del document["config"]["condition"][field]
    weights = load_file(tmp_path / "now.safetensors")
    save_file(weights, tmp_path / "then.safetensors", {"taming": json.dumps(document)})
    assert load_transformer(tmp_path / "then.safetensors")[0].config == config


@pytest.mark.parametrize(
    ("condition", "changes", "message"),
    [
        ({}, {"cond_vocab_size": 70}, "cond_vocab_size is 70, and the condition has 62 tokens that are no codes"),
        ({"word_list": None}, {"cond_vocab_size": 0}, "word_list and max_words belong to the kind words"),
        ({"max_words": 0}, {"n_unmasked": 0}, "word_list and max_words belong"),
        ({"kind": "unconditional", "class_names": []}, {}, "word_list and max_words belong"),
        ({"class_names": ("alpine",)}, {}, "1 class_names for 2 classes"),
        ({}, {"n_unmasked": MAX_WORDS + 1}, "n_unmasked 7 reaches beyond the 6 tokens of the prompt"),
        ({"max_words": 9}, {}, "after 9 tokens of condition does not fit block_size"),
    ],
)
def test_a_file_whose_words_do_not_fit_it_is_refused(condition, changes, message, tmp_path):
    save_checkpoint(word_model(**changes), tmp_path / "right.safetensors")
    with safe_open(tmp_path / "right.safetensors", "pt") as file:
        document = json.loads(file.metadata()["taming"])
    document["config"]["condition"] |= condition
    weights = load_file(tmp_path / "right.safetensors")
    save_file(weights, tmp_path / "wrong.safetensors", {"taming": json.dumps(document)})
    with pytest.raises(ConfigError, match=message):
        load_transformer(tmp_path / "wrong.safetensors")


def test_a_file_that_does_not_say_what_its_words_are_says_so(model, tmp_path):
    save_file(model.state_dict(), tmp_path / "bare.safetensors")
    with pytest.raises(ConfigError, match="reads 62 tokens that are no codes, and does not say what they stand for"):
        load_transformer(tmp_path / "bare.safetensors")
