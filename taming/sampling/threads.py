"""How many threads of a CPU draw: one where the operations of a step are too small to share.

Every operation waits for the last of its threads. Those of a small model take microseconds, so that each of them
waits for a time slice as soon as another program runs on one core: then one thread alone is several times as fast.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ..conditioning import TokenModel

# Multiplications of the largest product of a step, from which on several threads draw it.
SHARED_WORK = 4_000_000


def useful_threads(transformer: TokenModel, rows: int) -> int:
    """Threads for steps of `rows` tokens: those of torch, or one where there is little to do.

    It depends on nothing else, so that the same is drawn whatever else the machine does: sums of floats may differ in
    their last bits from one number of threads to another.
    """
    work = rows * 4 * transformer.config.n_embd**2
    return torch.get_num_threads() if work >= SHARED_WORK else 1


@contextmanager
def sampling_threads(transformer: TokenModel, rows: int) -> Iterator[None]:
    """Draw in here, `rows` tokens in a step; torch has its threads back afterwards, whatever happens.

    On another device than a CPU nothing changes. A library must not do this unasked, so `generate` does not: the
    number holds for the whole of torch.
    """
    usual = torch.get_num_threads()
    if transformer.input_device.type == "cpu":
        torch.set_num_threads(useful_threads(transformer, rows))
    try:
        yield
    finally:
        torch.set_num_threads(usual)
