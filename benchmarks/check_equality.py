"""The same seed draws the same tokens in every way of drawing them; where float noise flips one, it is counted.

Alone and in batches of 2 to 8, on one thread and two, cached and not, from weights as loaded and packed; grids larger
than the window in waves, cell by cell, and with the window read anew for every cell. `python3 dev.py bench` runs it; by
hand: `PYTHONPATH=. .venv/bin/python benchmarks/check_equality.py`. Twenty minutes on two cores.

The embedded class model draws at the defaults of its node, each grid another class. Every way is compared with the
plainest: alone, cached, one cell after the other, one thread, weights as loaded. Their logits differ by float noise,
which flips a token where the draw falls between the two; what follows a flip is another picture, so a grid counts up to
its first flip. Grids are drawn until each way has been compared on 10,000 tokens. A flip between codes that lie further
apart than `NOISE` is an error: the status is then 1.
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import count

import torch
from torch import Tensor

from benchmarks import ASSETS
from benchmarks.report import print_table, write_results
from taming import get_condition, load_transformer
from taming.conditioning import Condition
from taming.configs.sampling import PLAIN
from taming.models import Transformer, prepare_for_sampling
from taming.sampling import sample_grid
from taming.sampling.decoder import Decoder
from taming.sampling.filters import sample_next
from taming.sampling.grid import TokenGrid
from taming.sampling.schedule import plan_reads
from taming.sampling.seeds import CellNoise
from taming.sampling.wavefront import wavefront_decode
from taming.sampling.windows import window_at

LARGER_GRID = (24, 32)  # than the window of 16 x 16
BATCHES = range(2, 9)
NOISE = 1e-3  # in logits: a hundred times what those of float32 differ by

Grid = tuple[int, int]
Way = Callable[[int], Tensor]  # a seed -> (h * w,) tokens of the first item


@dataclass(frozen=True)
class Flip:
    """The first token that two ways of drawing do not share."""

    seed: int
    position: int
    logits_apart: float  # the margin between the two tokens
    draw_apart: float  # the same with the noise that decides between them


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
    wanted = 1 if options.quick else options.tokens
    transformer, _ = load_transformer(ASSETS / "scenes_class_transformer.safetensors")
    packed = copy.deepcopy(transformer)
    print(f"packed: {prepare_for_sampling(packed, 'fp32')}")
    whole, larger = transformer.config.grid, LARGER_GRID
    tallies = {
        whole: count_flips(transformer, whole, make_ways(transformer, packed), wanted),
        larger: count_flips(transformer, larger, make_window_ways(transformer, packed), wanted),
    }
    for grid, found in tallies.items():
        print_tallies(grid, found)
    figures = {
        "{} x {}".format(*grid): {name: asdict(row) for name, row in found.items()} for grid, found in tallies.items()
    }
    write_results("equality.json", options.quick, figures)
    return int(
        any(flip.draw_apart > NOISE for found in tallies.values() for row in found.values() for flip in row.flips)
    )


def make_ways(transformer: Transformer, packed: Transformer) -> dict[str, Way]:
    """Ways of drawing a whole grid."""
    grid = transformer.config.grid
    ways: dict[str, Way] = {
        f"first of a batch of {batch}": partial(draw, transformer, grid, batch=batch) for batch in BATCHES
    }
    ways["two threads"] = partial(draw, transformer, grid, threads=2)
    ways["a batch of 4, two threads"] = partial(draw, transformer, grid, batch=4, threads=2)
    ways["uncached, a full forward for each token"] = partial(draw_uncached, transformer, grid)
    ways["packed weights"] = partial(draw, packed, grid)
    ways["packed weights, a batch of 4, two threads"] = partial(draw, packed, grid, batch=4, threads=2)
    return ways


def make_window_ways(transformer: Transformer, packed: Transformer) -> dict[str, Way]:
    """Ways of drawing a grid that is larger than the window."""
    grid = LARGER_GRID
    return {
        "in waves": partial(draw, transformer, grid),
        "in waves, two threads": partial(draw, transformer, grid, threads=2),
        "in waves, a batch of 2": partial(draw, transformer, grid, batch=2),
        "in waves, packed weights": partial(draw, packed, grid),
        "in waves, packed weights, a batch of 2, two threads": partial(draw, packed, grid, batch=2, threads=2),
        "uncached, the window read anew for each cell": partial(draw_uncached, transformer, grid),
    }


def count_flips(transformer: Transformer, grid: Grid, ways: dict[str, Way], wanted: int) -> dict[str, Tally]:
    """Draw grids until each way has been compared on as many tokens as are `wanted`."""
    tallies = {name: Tally() for name in ways}
    for seed in count():
        open_ways = [name for name in ways if tallies[name].tokens < wanted]
        if not open_ways:
            break
        expected = draw_one_by_one(transformer, grid, seed)
        for name in open_ways:
            compare(transformer, grid, expected, ways[name](seed), seed, tallies[name])
        least = min(tally.tokens for tally in tallies.values())
        print(f"{grid[0]} x {grid[1]}, seed {seed}: {least} of {wanted} tokens", flush=True)
    return tallies


def tell(transformer: Transformer, seed: int, batch: int = 1) -> Condition:
    """Each seed draws another class."""
    return get_condition(transformer, label=seed % transformer.config.condition.num_labels, batch_size=batch)


def draw(transformer: Transformer, grid: Grid, seed: int, *, batch: int = 1, threads: int = 1) -> Tensor:
    """As everybody draws: cached, and in waves where the grid is larger than the window."""
    with on_threads(threads):
        return sample_grid(tell(transformer, seed, batch), grid=grid, seed=seed)[0].flatten()


def draw_one_by_one(transformer: Transformer, grid: Grid, seed: int) -> Tensor:
    """What the others are compared with; for a grid of the window's size it is what `draw` does."""
    config = transformer.config
    num_cells = grid[0] * grid[1]
    waves = ([cell] for cell in range(num_cells))
    plan = plan_reads(waves, b"\1" * num_cells, grid, config.grid, config.condition)
    indices = torch.zeros(1, *grid, dtype=torch.int64)
    noise = noise_of(transformer, grid, seed)
    tokens = TokenGrid(indices, indices.bool(), (), lambda *_: None)
    with on_threads(1), torch.inference_mode():
        wavefront_decode(Decoder(tell(transformer, seed), 1.0), tokens, plan, PLAIN, noise)
    return tokens.indices.flatten()


def noise_of(transformer: Transformer, grid: Grid, seed: int) -> CellNoise:
    return CellNoise(seed, range(1), grid[1], transformer.config.vocab_size, torch.device("cpu"))


@torch.inference_mode()
def draw_uncached(transformer: Transformer, grid: Grid, seed: int) -> Tensor:
    """What the sampler must draw: every token from a forward over all before it in its window."""
    condition, noise = tell(transformer, seed), noise_of(transformer, grid, seed)
    tokens = torch.zeros(grid[0] * grid[1], dtype=torch.int64)
    with on_threads(1):
        for cell in range(len(tokens)):
            tokens[cell] = sample_next(read_anew(condition, grid, tokens, cell), PLAIN, noise.at([cell])[:, 0])
    return tokens


def read_anew(condition: Condition, grid: Grid, tokens: Tensor, cell: int) -> Tensor:
    """Logits of `cell`, (1, V), from the tokens (h * w,) before it in its window, without a cache."""
    config = condition.transformer.config
    window = window_at(cell, grid, config.grid, config.condition)
    rows, columns = slice(window.top, window.top + window.height), slice(window.left, window.left + window.width)
    row, column = divmod(cell, grid[1])
    end = (row - window.top) * window.width + column - window.left
    before = tokens.view(grid)[rows, columns].flatten()[None, :end]
    return condition.transformer(torch.cat([condition.prefix.at(window), before], dim=1))[:, -1]


@contextmanager
def on_threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    yield
    torch.set_num_threads(before)


def compare(transformer: Transformer, grid: Grid, expected: Tensor, drawn: Tensor, seed: int, tally: Tally) -> None:
    """Count the tokens up to the first that differs, that one included."""
    differing = (drawn != expected).nonzero()[:, 0].tolist()
    tally.grids += 1
    tally.tokens += differing[0] + 1 if differing else len(expected)
    if differing:
        tally.flips.append(explain(transformer, grid, expected, drawn, seed, differing[0]))


@torch.inference_mode()
def explain(transformer: Transformer, grid: Grid, expected: Tensor, drawn: Tensor, seed: int, position: int) -> Flip:
    logits = read_anew(tell(transformer, seed), grid, expected, position)[0]
    pair = [int(expected[position]), int(drawn[position])]
    decisive = logits + noise_of(transformer, grid, seed).at([position])[0, 0]
    margins = [float(each[pair].diff().abs()) for each in (logits, decisive)]
    return Flip(seed, position, *margins)


def print_tallies(grid: Grid, tallies: dict[str, Tally]) -> None:
    def furthest(tally: Tally) -> str:
        return f"{max(flip.draw_apart for flip in tally.flips):.1e}" if tally.flips else "-"

    rows = [[name, tally.tokens, tally.grids, len(tally.flips), furthest(tally)] for name, tally in tallies.items()]
    header = ["", "tokens compared", "grids", "flips", "furthest draw from its border"]
    title = "tokens beside those drawn alone, cached, one by one, on one thread, from weights as loaded"
    print_table(f"{grid[0]} x {grid[1]} {title}", header, rows)
    for name, tally in tallies.items():
        for flip in tally.flips:
            print(
                f"  {name}: seed {flip.seed}, token {flip.position}: logits {flip.logits_apart:.2e} apart, "
                f"{flip.draw_apart:.1e} with their noise"
            )


if __name__ == "__main__":
    sys.exit(main())
