"""Conditions: labels as people write them, start tokens, contexts, and clear answers to wrong ones."""

import pytest
import torch

from taming.conditioning import ClassCondition, ConditionConfig, Unconditional, get_condition
from taming.errors import ConditionError
from taming.models import Transformer, TransformerConfig

NAMES = ("alpine", "sunset_sea", "beach")
NAMED = ClassCondition(num_classes=3, class_names=NAMES, null_label=3)


def build(condition: ConditionConfig = NAMED, context_dim: int | None = None) -> Transformer:
    config = TransformerConfig(
        vocab_size=8,
        block_size=4,
        n_layer=1,
        n_head=1,
        n_embd=8,
        grid=(2, 2),
        condition=condition,
        context_dim=context_dim,
    )
    return Transformer(config)


@pytest.mark.parametrize(
    ("label", "tokens"),
    [
        ("alpine", [0]),
        ("Sunset Sea", [1]),
        ("sunset-sea", [1]),
        (2, [2]),
        ("2", [2]),
        (" alpine, beach ", [0, 2]),
        ("1,alpine", [1, 0]),
        (["beach", 0, "1"], [2, 0, 1]),
        (None, [3]),
    ],
)
def test_a_label_is_a_name_a_number_or_several(label, tokens):
    condition = get_condition(build(), label)
    assert condition.prefix.tokens.tolist() == [[token] for token in tokens]
    assert condition.null_prefix is not None and condition.null_prefix.tokens.eq(3).all()
    assert condition.null_prefix.tokens.shape == condition.prefix.tokens.shape


def test_a_name_with_a_comma_is_one_label():
    named = ClassCondition(num_classes=2, class_names=("tench, Tinca tinca", "goldfish"))
    assert get_condition(build(named), "tench, tinca tinca").prefix.tokens.tolist() == [[0]]


CASES = ClassCondition(num_classes=5, class_names=("Cats", "cats", "Big_Dog", "7", "tench, Tinca tinca"))


@pytest.mark.parametrize(
    ("label", "tokens"),
    [
        ("cats", [1]),  # was Cats, and cats could not be drawn
        ("Cats", [0]),
        (" cats ", [1]),
        ('"cats"', [1]),
        ("big dog", [2]),
        ("BIG-DOG, Cats", [2, 0]),
        ("7", [3]),  # a name before a number
        ("7.0", [3]),
        ("3.0", [3]),
        ("03", [3]),
        (3.0, [3]),
        ([3.0, "1.", "cats"], [3, 1, 1]),
        ("cats, Cats,", [1, 0]),
        ("cats\nCats\n", [1, 0]),
        ("cats,\r\nCats, big dog,\r\n\r\n", [1, 0, 2]),
        ("'cats', \"Cats\"", [1, 0]),
        ("\u201ccats\u201d", [1]),
        ("cats, tench,tinca tinca, 1", [1, 4, 1]),
        ('cats, "tench, tinca tinca"', [1, 4]),
    ],
)
def test_a_class_of_exactly_that_name_comes_first(label, tokens):
    assert get_condition(build(CASES), label).prefix.tokens[:, 0].tolist() == tokens


@pytest.mark.parametrize("label", ["CATS", "cATS", "big dog, cAtS"])
def test_a_label_that_could_be_several_classes_names_them(label):
    part = label.rpartition(" ")[2]
    with pytest.raises(ConditionError) as error:
        get_condition(build(CASES), label)
    said = f"The class '{part}' could be 'Cats' (0) or 'cats' (1). Write one exactly, or its number."
    assert str(error.value) == said


@pytest.mark.parametrize("label", ["3.5", 3.5, float("nan"), float("inf"), "9" * 5000, "-7", ",cats", "cats,,Cats"])
def test_a_number_or_a_list_that_names_no_class_is_refused(label):
    with pytest.raises(ConditionError, match="This transformer has no class"):
        get_condition(build(CASES), label)


def test_line_breaks_and_quotes_part_what_a_name_with_a_comma_holds_together():
    names = ClassCondition(num_classes=3, class_names=("a", "b", "a, b"))
    for label, tokens in {"a,b": [2], "a, b": [2], "a\nb": [0, 1], '"a", b': [0, 1], "b, a, b": [1, 2]}.items():
        assert get_condition(build(names), label).prefix.tokens[:, 0].tolist() == tokens


@pytest.mark.parametrize("label", ["alpin", "", "alpine,,beach", "-1", "3", 3, -1, "1.5", [], "\u0663"])
def test_an_unknown_label_gets_the_list_of_known_ones(label):
    with pytest.raises(ConditionError, match="alpine, sunset_sea, beach .*0 to 2"):
        get_condition(build(), label)


def test_a_near_miss_gets_a_suggestion():
    with pytest.raises(ConditionError, match="Did you mean 'sunset_sea'"):
        get_condition(build(), "sunsetsea")


def test_without_names_the_range_is_told():
    with pytest.raises(ConditionError, match="use a number, 0 to 4"):
        get_condition(build(ClassCondition(num_classes=5)), "alpine")
    with pytest.raises(ConditionError, match="use a number, 0 to 7"):
        get_condition(build(ClassCondition()), 8)


def test_no_label_is_an_error_where_no_null_label_was_trained():
    with pytest.raises(ConditionError, match="no label"):
        get_condition(build(ClassCondition(num_classes=5)))


def test_an_unconditional_transformer_starts_with_its_start_token_and_takes_no_label():
    transformer = build(Unconditional(sos_token=6))
    condition = get_condition(transformer, batch_size=3)
    assert condition.prefix.tokens.tolist() == [[6]] * 3
    assert condition.null_prefix is None and condition.transformer is transformer
    with pytest.raises(ConditionError, match="without a condition"):
        get_condition(transformer, "alpine")


@pytest.mark.parametrize(("batch_size", "tokens"), [(1, [2]), (2, [2, 0]), (3, [2, 0, 2]), (5, [2, 0, 2, 0, 2])])
def test_labels_take_turns_in_a_batch_of_another_size(batch_size, tokens):
    condition = get_condition(build(), "beach, alpine", batch_size=batch_size)
    assert condition.null_prefix is not None
    assert condition.prefix.tokens[:, 0].tolist() == tokens
    assert condition.null_prefix.tokens[:, 0].tolist() == [3] * batch_size
    assert condition.some(slice(1, None)).prefix.tokens[:, 0].tolist() == tokens[1:]


def test_labels_that_take_turns_or_are_not_used_are_said_once(caplog):
    caplog.set_level("INFO")
    get_condition(build(), "beach, alpine, beach", batch_size=2)
    get_condition(build(), "beach, alpine", batch_size=3)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "the last 1 are not used" in caplog.text and "take turns in a batch of 3" in caplog.text


@pytest.mark.parametrize(("labels", "contexts", "batch"), [(1, 1, 1), (2, 1, 2), (1, 2, 2), (2, 2, 2)])
def test_one_context_or_label_serves_several_of_the_other(labels, contexts, batch):
    condition = get_condition(build(context_dim=5), [0] * labels, context=torch.randn(contexts, 4, 5))
    assert condition.context is not None
    assert condition.prefix.tokens.shape == (batch, 1) and condition.context.shape == (batch, 4, 5)


def test_wrong_contexts_are_named():
    with pytest.raises(ConditionError, match="without cross-attention"):
        get_condition(build(), 0, context=torch.randn(1, 4, 5))
    with pytest.raises(ConditionError, match="was given none"):
        get_condition(build(context_dim=5), 0)
    with pytest.raises(ConditionError, match=r"\(1, 4, 6\)"):
        get_condition(build(context_dim=5), 0, context=torch.randn(1, 4, 6))
    with pytest.raises(ConditionError, match="2 items, the batch 3"):
        get_condition(build(context_dim=5), [0, 1], context=torch.randn(3, 4, 5))
