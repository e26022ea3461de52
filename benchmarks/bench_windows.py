"""Grids larger than the window: the reference's rule, ours one cell after the other, and ours in waves.

`python3 dev.py bench` runs it; by hand, PYTHONPATH must name the repository. All three draw 32 x 32 and 64 x 64 tokens
with random weights, the same for all, each cell told 256 tokens of a map. The reference reads the whole window anew
for every cell (its scripts/sample_conditional.py, without a cache), so it is timed on some cells and its time for all
is extrapolated. `--quick` only checks that the script works.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.machine import Sample
from benchmarks.peers import make_reference_gpt
from benchmarks.report import print_table, write_results
from benchmarks.rounds import ratio, summarize, take_turns
from devtools.reference import find_reference
from taming.conditioning import Condition, MapPrefix, Window
from taming.models import ConditionConfig, Transformer, TransformerConfig
from taming.sampling import SamplingOptions
from taming.sampling.filters import PLAIN, sample_next
from taming.sampling.generate import fill_in, plan_visits
from taming.sampling.seeds import cell_uniforms
from taming.sampling.waves import Read, ReadCounts, count_reads, plan_reads

WINDOW = (16, 16)
VOCAB_SIZE = 1024
SEED = 0
REFERENCE, ONE_BY_ONE, WAVES = "reference, no cache", "taming, one by one", "taming, waves"
GREEDY = SamplingOptions(temperature=0)


def main() -> None:
    options = parse_arguments()
    transformer = make_transformer(*((2, 2, 64) if options.quick else (12, 8, 512)))
    folder = find_reference()
    gpt = make_gpt(folder, transformer) if folder else None
    if gpt is None:
        print("the reference is not in .reference/ (`python3 dev.py bench` puts it there): not measured")
    figures = {f"{side} x {side}": measure(transformer, gpt, (side, side), options) for side in options.sides}
    write_results("windows.json", options.quick, figures)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="a tiny model, small grids, one round: to check the script"
    )
    parser.add_argument("--rounds", type=int, metavar="N", help="timed rounds (default 3)")
    parser.add_argument("--cells", type=int, metavar="N", help="cells of a grid that the reference draws (default 16)")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.cells = options.cells or (4 if options.quick else 16)
    options.sides = (18, 34) if options.quick else (32, 64)
    return options


def make_transformer(layers: int, heads: int, width: int) -> Transformer:
    """Random weights, large enough for one token to matter to the next."""
    condition = ConditionConfig("segmentation", num_classes=VOCAB_SIZE)
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


def measure(
    transformer: Transformer, gpt: nn.Module | None, grid: tuple[int, int], options: argparse.Namespace
) -> dict[str, Any]:
    """Counts, agreement and times of one size of grid."""
    condition = make_condition(transformer, grid)
    plans = make_plans(transformer, grid)
    counts = {name: count_reads(plan, condition.prefix.at(first_window(grid)).shape[1]) for name, plan in plans.items()}
    grids = {name: {"greedy": draw(condition, grid, plan, GREEDY)} for name, plan in plans.items()}
    for name, plan in plans.items():
        grids[name]["seeded"] = draw(condition, grid, plan, PLAIN)
    steps: dict[str, Callable[[], object]] = {
        name: partial(draw, condition, grid, plan, PLAIN) for name, plan in plans.items()
    }
    cells = spread_cells(grid, options.cells)
    agreement = {
        how: share_equal(grids[ONE_BY_ONE][how].flatten(), grids[WAVES][how].flatten()) for how in ("greedy", "seeded")
    }
    if gpt is not None:
        steps[REFERENCE] = partial(draw_by_reference, gpt, condition, grids[WAVES]["seeded"], cells, PLAIN)
        for how, settings in (("greedy", GREEDY), ("seeded", PLAIN)):
            drawn = grids[WAVES][how]
            theirs = draw_by_reference(gpt, condition, drawn, cells, settings)
            agreement[f"{how}, reference"] = share_equal(theirs, drawn.flatten()[cells])
    samples = take_turns(steps, options.rounds, f"{grid[0]} x {grid[1]}")
    if REFERENCE in samples:
        scale = grid[0] * grid[1] / len(cells)
        samples[REFERENCE] = [Sample(sample.seconds * scale, sample.foreign) for sample in samples[REFERENCE]]
    figures = {name: summarize(times) for name, times in samples.items()}
    show(grid, counts, figures, agreement, len(cells))
    return report(grid, counts, figures, agreement, len(cells))


def make_condition(transformer: Transformer, grid: tuple[int, int]) -> Condition:
    tokens = torch.randint(VOCAB_SIZE, (1, *grid), generator=torch.Generator().manual_seed(SEED))
    return Condition(transformer, MapPrefix(tokens), None, None)


def make_plans(transformer: Transformer, grid: tuple[int, int]) -> dict[str, list[list[Read]]]:
    """What our two ways visit and read; both keep the same windows."""
    config = transformer.config
    one_by_one = plan_reads([[cell] for cell in range(grid[0] * grid[1])], grid, WINDOW, config.condition)
    return {ONE_BY_ONE: one_by_one, WAVES: plan_visits(transformer, torch.zeros(1, *grid, dtype=torch.bool), False)}


def first_window(grid: tuple[int, int]) -> Window:
    return Window(0, 0, *WINDOW, grid)


def draw(condition: Condition, grid: tuple[int, int], plan: list[list[Read]], options: SamplingOptions) -> Tensor:
    """A whole grid, (1, h, w), in the order of `plan`."""
    indices = torch.zeros(1, *grid, dtype=torch.int64)
    return fill_in(condition, indices, indices.bool(), plan, options, SEED, lambda *_: None)


@torch.no_grad()
def draw_by_reference(
    gpt: nn.Module, condition: Condition, drawn: Tensor, cells: list[int], options: SamplingOptions
) -> Tensor:
    """What the reference's rule draws in `cells`, (cells,), where all before them is as in `drawn`, (1, h, w)."""
    height, width = drawn.shape[1:]
    uniforms = cell_uniforms(1, height * width, SEED)
    tokens = []
    for cell in cells:
        row, column = divmod(cell, width)
        top, local_row = place(row, height, WINDOW[0])
        left, local_column = place(column, width, WINDOW[1])
        window = Window(top, left, *WINDOW, (height, width))
        patch = drawn[:, top : top + WINDOW[0], left : left + WINDOW[1]].flatten(1)  # (1, 256)
        logits = gpt(torch.cat([condition.prefix.at(window), patch], dim=1)[:, :-1])[0]
        logits = logits[:, -patch.shape[1] :].view(1, *WINDOW, -1)[:, local_row, local_column]  # (1, V)
        tokens.append(sample_next(logits, options, uniforms[:, cell]))
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


def report(
    grid: tuple[int, int],
    counts: dict[str, ReadCounts],
    figures: dict[str, Any],
    agreement: dict[str, float],
    num_cells: int,
) -> dict[str, Any]:
    return {
        "equal_tokens": agreement,
        "theory": theory(grid),
        "counts": {name: asdict(count) for name, count in counts.items()},
        "reference_cells_timed": num_cells,
        "seconds": figures,
        "times_faster_than_reference": {name: ratio(figures, REFERENCE, name) for name in counts},
    }


def show(
    grid: tuple[int, int],
    counts: dict[str, ReadCounts],
    figures: dict[str, Any],
    agreement: dict[str, float],
    num_cells: int,
) -> None:
    expected = theory(grid)
    rows = [
        [REFERENCE, grid[0] * grid[1], expected["tokens_of_the_reference"], "1", "-", *times(figures, REFERENCE)],
        *(
            [name, count.steps, count.tokens, batches(count), count.windows, *times(figures, name)]
            for name, count in counts.items()
        ),
    ]
    title = f"{grid[0]} x {grid[1]} tokens; the reference's time is extrapolated from {num_cells} cells"
    print_table(title, ["", "steps", "tokens read", "steps of batch", "windows held", "seconds", "times"], rows)
    print(f"in theory {expected['steps_in_waves']} steps of at most {expected['widest_wave']} cells")
    print("equal tokens: " + ", ".join(f"{how} {share:.1%}" for how, share in agreement.items()))


def batches(count: ReadCounts) -> str:
    return ", ".join(f"{size}: {number}" for size, number in count.batch_sizes.items())


def times(figures: dict[str, Any], name: str) -> list[str]:
    median, gain = figures.get(name, {}).get("median_s"), ratio(figures, REFERENCE, name)
    return ["-" if median is None else f"{median:.1f}", "-" if gain is None else f"{gain:.2f}"]


if __name__ == "__main__":
    main()
