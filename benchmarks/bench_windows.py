"""Grids larger than the window: the reference's rule, ours one cell after the other, and ours in waves.

`python3 dev.py bench` runs it; by hand, PYTHONPATH must name the repository. All three draw 32 x 32 and 64 x 64 tokens
with random weights, the same for all, each cell told 256 tokens of a map; ours has them packed, as users of a CPU do.
The reference reads the whole window anew for every cell (its scripts/sample_conditional.py, without a cache), so it is
timed on some cells and its time for all is extrapolated. At 64 x 64 ours reads a million tokens: in waves it is timed
once, and one by one on some rows, from which its time is extrapolated by the tokens read. A quarter of an hour on two
cores. `--quick` only checks that the script works.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.machine import Sample
from benchmarks.peers import make_reference_gpt
from benchmarks.report import print_table, write_results
from benchmarks.rounds import Steps, ratio, summarize, take_turns
from devtools.reference import find_reference
from taming.conditioning import Condition, ConditionConfig, MapPrefix, SegmentationCondition, Window
from taming.configs.sampling import PLAIN
from taming.models import Transformer, TransformerConfig, prepare_for_sampling
from taming.sampling import SamplingOptions
from taming.sampling.decoder import Decoder
from taming.sampling.filters import sample_next
from taming.sampling.grid import TokenGrid
from taming.sampling.schedule import WindowRead, plan_reads, schedule, schedule_cost
from taming.sampling.seeds import CellNoise
from taming.sampling.wavefront import wavefront_decode

WINDOW = (16, 16)
VOCAB_SIZE = 1024
SEED = 0
REFERENCE, ONE_BY_ONE, WAVES = "reference, no cache", "taming, one by one", "taming, waves"
GREEDY = SamplingOptions(temperature=0)


@dataclass(frozen=True)
class Work:
    """A grid, and how much of it is timed how often."""

    side: int
    rounds: int
    rows: range | None = None  # drawn one by one where the whole grid is too much; no window of theirs shows in others


WORK = (Work(32, 2), Work(64, 1, range(28, 32)))
QUICK_WORK = (Work(18, 1), Work(34, 1, range(15, 18)))


def main() -> None:
    options = parse_arguments()
    transformer = make_transformer(*((2, 2, 64) if options.quick else (12, 8, 512)))
    folder = find_reference()
    gpt = make_gpt(folder, transformer) if folder else None
    if gpt is None:
        print("the reference is not in .reference/ (`python3 dev.py bench` puts it there): not measured")
    weights = prepare_for_sampling(transformer, "auto")
    print(f"ours: {weights}; the reference's as published")
    work = QUICK_WORK if options.quick else WORK
    figures = {f"{part.side} x {part.side}": measure(transformer, gpt, part, options.cells) for part in work}
    write_results("windows.json", options.quick, {"weights": weights, **figures})


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tiny model and small grids: to check the script")
    parser.add_argument("--cells", type=int, metavar="N", help="cells of a grid that the reference draws (default 16)")
    options = parser.parse_args()
    options.cells = options.cells or (4 if options.quick else 16)
    return options


MAP = SegmentationCondition(num_classes=VOCAB_SIZE)


def make_transformer(layers: int, heads: int, width: int, condition: ConditionConfig = MAP) -> Transformer:
    """Random weights, large enough for one token to matter to the next."""
    config = TransformerConfig(VOCAB_SIZE, 512, layers, heads, width, grid=WINDOW, condition=condition)
    transformer, generator = Transformer(config).eval(), torch.Generator().manual_seed(SEED)
    transformer.init_weights(generator)
    for embedding in (transformer.tok_emb.weight, transformer.pos_emb):
        nn.init.normal_(embedding, std=0.5, generator=generator)
    nn.init.normal_(transformer.head.weight, std=0.1, generator=generator)
    return transformer


def make_gpt(folder: Path, transformer: Transformer) -> nn.Module:
    reference = make_reference_gpt(folder, transformer.config)
    reference.take_weights(transformer)
    return reference.gpt


def measure(transformer: Transformer, gpt: nn.Module | None, work: Work, num_cells: int) -> dict[str, Any]:
    """Counts, agreement and times of one size of grid."""
    grid = (work.side, work.side)
    condition = make_condition(transformer, grid)
    plans, cells = make_plans(transformer, grid), spread_cells(grid, num_cells)
    prefix_length = condition.prefix.at(first_window(grid)).shape[1]
    counts = {name: schedule_cost(plan, prefix_length) for name, plan in plans.items()}
    timed, shares = dict(plans), {REFERENCE: num_cells / (work.side * work.side), WAVES: 1.0, ONE_BY_ONE: 1.0}
    if work.rows is not None:
        timed[ONE_BY_ONE] = plans[ONE_BY_ONE][work.rows.start * work.side : work.rows.stop * work.side]
        shares[ONE_BY_ONE] = schedule_cost(timed[ONE_BY_ONE], prefix_length).tokens / counts[ONE_BY_ONE].tokens
    contest = Contest(condition, gpt, grid, timed, cells)
    agreement: dict[str, float] = {}
    if work.rows is None:  # these draws warm up, too
        for step in make_steps(contest, GREEDY, greedy := {}).values():
            step()
        agreement |= compare(contest, greedy, "greedy")
    drawn: dict[str, Tensor] = {}
    steps = make_steps(contest, PLAIN, drawn)
    samples = take_turns(steps, work.rounds, f"{work.side} x {work.side}", warm_up={})
    agreement |= compare(contest, drawn, "seeded")
    figures = {
        name: {
            **summarize([Sample(sample.seconds / shares[name], sample.foreign) for sample in taken]),
            "share_timed": round(shares[name], 5),
        }
        for name, taken in samples.items()
    }
    found = {
        "equal_tokens": agreement,
        "theory": theory(grid),
        "counts": {name: asdict(count) for name, count in counts.items()},
        "seconds": figures,
        "times_faster_than_reference": {name: ratio(figures, REFERENCE, name) for name in counts},
    }
    show(grid, found)
    return found


@dataclass(frozen=True)
class Contest:
    """What is drawn, and by whom."""

    condition: Condition
    gpt: nn.Module | None  # the reference, where it is there
    grid: tuple[int, int]
    plans: Mapping[str, list[list[WindowRead]]]  # ours, by name
    cells: list[int]  # that the reference draws


def make_steps(contest: Contest, options: SamplingOptions, drawn: dict[str, Tensor]) -> Steps:
    """What draws a grid in each way and leaves it in `drawn`; waves come first, the others look at what they drew."""

    def draw_ours(name: str) -> None:
        start = drawn.get(WAVES, torch.zeros(1, *contest.grid, dtype=torch.int64))
        drawn[name] = draw(contest.condition, contest.plans[name], options, start)

    def draw_theirs(gpt: nn.Module) -> None:
        drawn[REFERENCE] = draw_by_reference(gpt, contest.condition, drawn[WAVES], contest.cells, options)

    steps: Steps = {name: partial(draw_ours, name) for name in (WAVES, ONE_BY_ONE)}
    return steps if contest.gpt is None else {**steps, REFERENCE: partial(draw_theirs, contest.gpt)}


def compare(contest: Contest, drawn: Mapping[str, Tensor], how: str) -> dict[str, float]:
    """Shares of equal tokens: of all that were drawn one by one, and of those that the reference drew."""
    waves, one_by_one = (drawn[name].flatten() for name in (WAVES, ONE_BY_ONE))
    visited = cells_of(contest.plans[ONE_BY_ONE])
    agreement = {f"{how}, one by one beside waves": share_equal(one_by_one[visited], waves[visited])}
    if REFERENCE in drawn:
        agreement[f"{how}, reference beside waves"] = share_equal(drawn[REFERENCE], waves[contest.cells])
    return agreement


def cells_of(plan: list[list[WindowRead]]) -> list[int]:
    return [read.cell for wave in plan for read in wave]


def make_condition(transformer: Transformer, grid: tuple[int, int]) -> Condition:
    tokens = torch.randint(VOCAB_SIZE, (1, *grid), generator=torch.Generator().manual_seed(SEED))
    return Condition(transformer, MapPrefix(tokens), None, None)


def make_plans(transformer: Transformer, grid: tuple[int, int]) -> dict[str, list[list[WindowRead]]]:
    """What our two ways visit and read; both keep the same windows."""
    config = transformer.config
    num_cells = grid[0] * grid[1]
    one_by_one = plan_reads(([cell] for cell in range(num_cells)), b"\1" * num_cells, grid, WINDOW, config.condition)
    waves = schedule(transformer, torch.zeros(1, *grid, dtype=torch.bool), False)
    return {ONE_BY_ONE: list(one_by_one), WAVES: list(waves)}


def first_window(grid: tuple[int, int]) -> Window:
    return Window(0, 0, *WINDOW, grid)


def draw(condition: Condition, plan: list[list[WindowRead]], options: SamplingOptions, start: Tensor) -> Tensor:
    """`start`, (1, h, w), with the cells of `plan` drawn anew in its order."""
    known = torch.ones_like(start, dtype=torch.bool)
    known.flatten(1)[:, cells_of(plan)] = False
    noise = CellNoise(SEED, range(1), start.shape[2], VOCAB_SIZE, start.device)
    grid = TokenGrid(start * known, known, (), lambda *_: None)
    with torch.inference_mode():
        wavefront_decode(Decoder(condition, options.guidance_scale), grid, plan, options, noise)
    return grid.indices.view_as(start)


@torch.no_grad()
def draw_by_reference(
    gpt: nn.Module, condition: Condition, drawn: Tensor, cells: list[int], options: SamplingOptions
) -> Tensor:
    """What the reference's rule draws in `cells`, (cells,), where all before them is as in `drawn`, (1, h, w)."""
    height, width = drawn.shape[1:]
    noise = CellNoise(SEED, range(1), width, VOCAB_SIZE, drawn.device)
    tokens = []
    for cell in cells:
        row, column = divmod(cell, width)
        top, local_row = place(row, height, WINDOW[0])
        left, local_column = place(column, width, WINDOW[1])
        window = Window(top, left, *WINDOW, (height, width))
        patch = drawn[:, top : top + WINDOW[0], left : left + WINDOW[1]].flatten(1)  # (1, 256)
        logits = gpt(torch.cat([condition.prefix.at(window), patch], dim=1)[:, :-1])[0]
        logits = logits[:, -patch.shape[1] :].view(1, *WINDOW, -1)[:, local_row, local_column]  # (1, V)
        tokens.append(sample_next(logits, options, noise.at([cell])[:, 0]))
    return torch.cat(tokens)


def place(position: int, length: int, size: int) -> tuple[int, int]:
    """Where the reference's window starts on one axis, and where the cell stands in it."""
    half = size // 2
    local = position if position <= half else size - (length - position) if length - position < half else half
    return position - local, local


def spread_cells(grid: tuple[int, int], count: int) -> list[int]:
    """So many cells from all parts of the grid."""
    total = grid[0] * grid[1]
    return [(2 * number + 1) * total // (2 * count) for number in range(count)]


def share_equal(ours: Tensor, theirs: Tensor) -> float:
    return (ours == theirs).double().mean().item()


def theory(grid: tuple[int, int]) -> dict[str, int]:
    """Counts without a plan: steps with a row starting one window behind the one above, tokens of the reference."""
    return {
        "steps_in_waves": WINDOW[1] * (grid[0] - 1) + grid[1],
        "widest_wave": -(-grid[1] // WINDOW[1]),
        "tokens_of_the_reference": grid[0] * grid[1] * (2 * WINDOW[0] * WINDOW[1] - 1),
    }


def show(grid: tuple[int, int], found: Mapping[str, Any]) -> None:
    expected, figures = found["theory"], found["seconds"]
    rows = [
        [REFERENCE, grid[0] * grid[1], expected["tokens_of_the_reference"], "1: all", "-", *times(found, REFERENCE)],
        *(
            [name, count["steps"], count["tokens"], batches(count), count["windows"], *times(found, name)]
            for name, count in found["counts"].items()
        ),
    ]
    title = f"{grid[0]} x {grid[1]} tokens, {torch.get_num_threads()} threads; seconds are for the whole grid"
    header = ["", "steps", "tokens read", "batch: steps", "windows held", "seconds", "times", "timed on", "rounds"]
    print_table(title, header, rows)
    dropped = {name: row["dropped"] for name, row in figures.items() if row["dropped"]}
    if dropped:
        print(f"dropped, others took more than a tenth of the machine: {dropped}")
    print(f"in theory {expected['steps_in_waves']} steps of at most {expected['widest_wave']} cells")
    print("equal tokens: " + "; ".join(f"{how} {share:.1%}" for how, share in found["equal_tokens"].items()))


def batches(count: Mapping[str, Any]) -> str:
    return ", ".join(f"{size}: {number}" for size, number in count["batch_sizes"].items())


def times(found: Mapping[str, Any], name: str) -> list[str]:
    row = found["seconds"].get(name)
    if row is None:
        return ["-"] * 4
    gain = ratio(found["seconds"], REFERENCE, name)
    seconds = f"{row['median_s']:.1f}" if "median_s" in row else "-"
    share = "all" if row["share_timed"] == 1 else f"{row['share_timed']:.2%}"
    return [seconds, "-" if gain is None else f"{gain:.2f}", share, str(row["n"])]


if __name__ == "__main__":
    main()
