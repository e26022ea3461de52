"""Threads that draw: one for a small model, torch's for a large one, and torch has its own back afterwards."""

from __future__ import annotations

import pytest
import torch

from taming.models import Transformer, TransformerConfig
from taming.sampling import sampling_threads
from taming.sampling.threads import useful_threads


@pytest.fixture
def four_threads():
    usual = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(usual)


def transformer(width: int) -> Transformer:
    return Transformer(TransformerConfig(vocab_size=16, block_size=17, n_layer=1, n_head=1, n_embd=width, grid=(4, 4)))


def test_a_step_with_little_work_has_one_thread_and_a_larger_one_those_of_torch(four_threads):
    small, large = transformer(192), transformer(1024)  # the width of the embedded models, and of the published ones
    assert [useful_threads(small, rows) for rows in (1, 8, 64)] == [1, 1, 4]
    assert useful_threads(large, 1) == 4


def test_torch_has_its_threads_back_whatever_happens(four_threads):
    with pytest.raises(KeyboardInterrupt), sampling_threads(transformer(8), rows=1):
        assert torch.get_num_threads() == 1
        raise KeyboardInterrupt
    assert torch.get_num_threads() == 4
