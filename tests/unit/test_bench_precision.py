"""What the figures of benchmarks/bench_precision.py rest on: what counts as a difference, and what fp16 loses."""

from __future__ import annotations

import pytest
import torch

from benchmarks.bench_precision import add_digits, compare_grids, compare_logits, noise_of, read, share_equal, summarize
from taming import get_condition
from taming.models import Transformer, TransformerConfig


@pytest.fixture
def transformer() -> Transformer:
    transformer, generator = Transformer(TransformerConfig(32, 17, 2, 2, 16, grid=(4, 4))).eval(), torch.Generator()
    for parameter in transformer.parameters():
        torch.nn.init.normal_(parameter, std=0.3, generator=generator)
    return transformer


def test_the_first_difference_counts_only_where_there_is_one():
    reference = torch.zeros(3, 2, 2, dtype=torch.int64)
    grids = reference.clone()
    grids[1, 0, 1] = grids[2, 1, 1] = 5  # cells 1 and 3
    figures = compare_grids(reference, grids)
    assert figures == {"equal tokens, %": pytest.approx(100 * 10 / 12), "first to differ": 2.0, "equal grids": 1}
    assert compare_grids(reference, reference)["first to differ"] is None


def test_logits_shifted_as_a_whole_are_the_same_and_others_are_not():
    logits = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(0))
    noise = noise_of(torch.zeros(2, 1, 5), 16, 0)
    same = summarize([compare_logits(logits, logits + 3.0, noise)])
    assert same.pop("KL, mean") < 1e-9 and same.pop("KL, worst") < 1e-9
    assert all(share == 100 for share in same.values())
    other = summarize([compare_logits(logits, logits.flip(-1), noise)])
    assert other["KL, mean"] > 0.1 and other["same likeliest, %"] < 100


def test_the_divergence_is_that_of_torch():
    logits, other = torch.randn(2, 1, 4, 16, generator=torch.Generator().manual_seed(0)).double()
    found = compare_logits(logits, other, noise_of(torch.zeros(1, 1, 4), 16, 0))["KL"]
    p, q = logits.log_softmax(-1), other.log_softmax(-1)
    expected = torch.nn.functional.kl_div(q, p, log_target=True, reduction="none")
    assert torch.allclose(found, expected.sum(-1).flatten())


def test_what_is_read_cell_by_cell_is_what_one_forward_reads(transformer: Transformer):
    tokens = torch.randint(32, (2, 4, 4), generator=torch.Generator().manual_seed(0))
    whole = torch.cat([torch.zeros(2, 1, dtype=torch.int64), tokens.flatten(1)], dim=1)  # the start token in front
    found = read(transformer, get_condition(transformer, batch_size=2), tokens)
    assert torch.allclose(found, transformer(whole)[:, :-1], atol=1e-5)


def test_added_digits_are_what_float16_rounds_away(transformer: Transformer):
    stored = transformer.head.weight.detach().half().float()
    transformer.head.weight.data = stored.clone()
    add_digits(transformer)
    assert (transformer.head.weight != stored).float().mean() > 0.99
    assert share_equal(transformer.head.weight.half().float(), stored) > 99
