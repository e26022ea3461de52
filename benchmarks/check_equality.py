"""The same seed draws the same tokens alone and in batches of 2 to 8, on one thread and two, cached and not, packed.

A check rather than a benchmark, minutes long. By hand: `PYTHONPATH=. .venv/bin/python benchmarks/check_equality.py`.
Every way of drawing is compared with one: alone, cached, one thread, weights as loaded. Their logits differ by float
noise, which flips a token where the draw falls between the two; what follows a flip is another picture, so a grid
counts up to its first flip. Grids are drawn until each way has been compared on 10,000 tokens. A flip whose draw lies
further from the border than `NOISE` is an error: the status is then 1.
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import count

import torch
from torch import Tensor

from benchmarks.report import print_table, write_results
from benchmarks.token_rows import GRID, TOP_K, VOCAB_SIZE, make_weights
from taming import get_condition
from taming.models import Transformer, TransformerConfig, prepare_for_sampling
from taming.sampling import SamplingOptions
from taming.sampling.filters import filter_logits, sample_next
from taming.sampling.seeds import cell_uniforms

SHAPE = (2, 4, 128)  # layers, heads, width
NUM_TOKENS = GRID[0] * GRID[1]
BATCHES = range(2, 9)
OPTIONS = SamplingOptions(top_k=TOP_K)
NOISE = 1e-4  # of the probability: a thousand times what float32 logits differ by

Way = Callable[[int], Tensor]  # a seed -> (L,) tokens of the first item


@dataclass(frozen=True)
class Flip:
    """The first token that two ways of drawing do not share."""

    seed: int
    position: int
    logits_apart: float  # the margin between the two tokens
    draw_apart: float  # how far the random number lies from the border between them, as a probability


@dataclass
class Tally:
    """What a way of drawing was compared on so far."""

    tokens: int = 0
    grids: int = 0
    flips: list[Flip] = field(default_factory=list)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one grid: to check the script")
    parser.add_argument("--tokens", type=int, default=10_000, metavar="N", help="for each way (default 10000)")
    options = parser.parse_args()
    wanted = NUM_TOKENS if options.quick else options.tokens
    transformer = make_weights(TransformerConfig(VOCAB_SIZE, NUM_TOKENS, *SHAPE, grid=GRID))
    ways = make_ways(transformer)
    tallies = {name: Tally() for name in ways}
    for seed in count():
        open_ways = [name for name in ways if tallies[name].tokens < wanted]
        if not open_ways:
            break
        expected = draw_cached(transformer, 1, seed)
        for name in open_ways:
            compare(transformer, expected, ways[name](seed), seed, tallies[name])
        print(f"seed {seed}: {min(tally.tokens for tally in tallies.values())} of {wanted} tokens", flush=True)
    print_tallies(tallies)
    write_results("equality.json", options.quick, {name: asdict(tally) for name, tally in tallies.items()})
    return int(any(flip.draw_apart > NOISE for tally in tallies.values() for flip in tally.flips))


def make_ways(transformer: Transformer) -> dict[str, Way]:
    ways: dict[str, Way] = {
        f"first of a batch of {batch}": partial(draw_cached, transformer, batch) for batch in BATCHES
    }
    ways["two threads"] = partial(draw_cached, transformer, 1, threads=2)
    ways["a batch of 4, two threads"] = partial(draw_cached, transformer, 4, threads=2)
    ways["uncached, a full forward for each token"] = partial(draw_uncached, transformer)
    packed = copy.deepcopy(transformer)
    print(prepare_for_sampling(packed, "fp32"))
    ways["packed weights"] = partial(draw_cached, packed, 1)
    ways["packed weights, a batch of 4, two threads"] = partial(draw_cached, packed, 4, threads=2)
    return ways


def draw_cached(transformer: Transformer, batch: int, seed: int, *, threads: int = 1) -> Tensor:
    with on_threads(threads):
        condition = get_condition(transformer, batch_size=batch)
        return transformer.sample(condition, seed=seed, top_k=TOP_K)[0].flatten()


@torch.inference_mode()
def draw_uncached(transformer: Transformer, seed: int) -> Tensor:
    """What the sampler must draw: every token from a forward over all before it."""
    uniforms = cell_uniforms(1, NUM_TOKENS, seed)
    tokens = torch.zeros(1, 1, dtype=torch.int64)  # the start token
    with on_threads(1):
        for position in range(NUM_TOKENS):
            token = sample_next(transformer(tokens)[:, -1], OPTIONS, uniforms[:, position])
            tokens = torch.cat([tokens, token[:, None]], dim=1)
    return tokens[0, 1:]


@contextmanager
def on_threads(number: int):
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    yield
    torch.set_num_threads(before)


def compare(transformer: Transformer, expected: Tensor, drawn: Tensor, seed: int, tally: Tally) -> None:
    """Count the tokens up to the first that differs, that one included."""
    differing = (drawn != expected).nonzero()[:, 0].tolist()
    tally.grids += 1
    tally.tokens += differing[0] + 1 if differing else len(expected)
    if differing:
        tally.flips.append(explain(transformer, expected, drawn, seed, differing[0]))


@torch.inference_mode()
def explain(transformer: Transformer, expected: Tensor, drawn: Tensor, seed: int, position: int) -> Flip:
    before = torch.cat([torch.zeros(1, dtype=torch.int64), expected[:position]])[None]
    logits = transformer(before)[0, -1]
    pair = [int(expected[position]), int(drawn[position])]
    low, high = min(pair), max(pair)
    cumulative = filter_logits(logits, top_k=TOP_K).softmax(-1).cumsum(-1, dtype=torch.float64)
    uniform = cell_uniforms(1, NUM_TOKENS, seed)[0, position]
    borders = cumulative[low:high]  # between the two tokens; the draw crossed them all
    return Flip(seed, position, float((logits[low] - logits[high]).abs()), float((borders - uniform).abs().max()))


def print_tallies(tallies: dict[str, Tally]) -> None:
    def furthest(tally: Tally) -> str:
        return f"{max(flip.draw_apart for flip in tally.flips):.1e}" if tally.flips else "-"

    rows = [[name, tally.tokens, tally.grids, len(tally.flips), furthest(tally)] for name, tally in tallies.items()]
    header = ["", "tokens compared", "grids", "flips", "furthest draw from its border"]
    print_table("Tokens beside those drawn alone, cached, on one thread, from weights as loaded", header, rows)
    for name, tally in tallies.items():
        for flip in tally.flips:
            print(
                f"  {name}: seed {flip.seed}, token {flip.position}: logits {flip.logits_apart:.2e} apart, "
                f"the draw {flip.draw_apart:.1e} from the border"
            )


if __name__ == "__main__":
    sys.exit(main())
