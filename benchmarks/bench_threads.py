"""Seconds to draw with one thread, with all, and with those that `sampling_threads` chooses; alone and beside others.

`python3 dev.py bench` runs it; by hand, PYTHONPATH must name the repository. All is timed in turns, in one process. A
busy neighbor is a process that never rests, on any core. Without one, samples during which others took more than a
tenth of the machine are dropped. `--quick` only checks that the script works.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from benchmarks import ASSETS
from benchmarks.machine import Sample, seconds_of, take_sample
from benchmarks.report import print_table, write_results
from benchmarks.rounds import Steps, summarize, take_turns
from taming import get_condition, load_transformer
from taming.conditioning import Condition
from taming.models import Transformer, TransformerConfig, prepare_for_sampling
from taming.sampling import SamplingOptions, sample_grid, sampling_threads

LARGE = TransformerConfig(vocab_size=1024, block_size=257, n_layer=24, n_head=16, n_embd=1024)
GUIDED = SamplingOptions(top_k=100, top_p=0.95, guidance_scale=2.5)
PLAIN = SamplingOptions(top_k=100, top_p=0.95)
CHOSEN = "chosen"


def main() -> None:
    options = parse_arguments()
    cases = make_cases(options)
    figures: dict[str, dict[str, Any]] = {}
    for neighbors in (0, 1):
        with busy_neighbors(neighbors):
            for name, steps in cases.items():
                title = f"{name}, {neighbors} busy"
                samples = take_turns(steps, options.rounds, title, take=take_any if neighbors else take_sample)
                figures[title] = {step: summarize(each) for step, each in samples.items()}
    print_times(figures)
    write_results("threads.json", options.quick, {"usual_threads": torch.get_num_threads(), "s": figures})


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few tokens, one round: to check the script")
    parser.add_argument("--rounds", type=int, metavar="N", help="timed rounds (default 7)")
    parser.add_argument("--only", metavar="TEXT", default="", help="only the models whose title holds this")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 7)
    return options


def make_cases(options: argparse.Namespace) -> dict[str, Steps]:
    """What is drawn, by title, and the ways to draw it."""
    cases: dict[str, Steps] = {}
    whole, part = (16, 4) if options.quick else (None, 24)
    title = "embedded, batch of {}"
    if options.only in title:
        embedded, _ = load_transformer(ASSETS / "scenes_class_transformer.safetensors", precision="auto")
        for batch, drawn_by in ((1, PLAIN), (4, PLAIN), (4, GUIDED)):
            condition = get_condition(embedded, label="alpine", batch_size=batch)
            guided = ", guided" * (drawn_by is GUIDED)
            cases[title.format(batch) + guided] = steps_of(condition, drawn_by, whole)
    if options.only in "24 x 1024":
        large = Transformer(LARGE)
        prepare_for_sampling(large)
        cases["24 x 1024, batch of 1"] = steps_of(get_condition(large, batch_size=1), PLAIN, part)
        cases["24 x 1024, batch of 4"] = steps_of(get_condition(large, batch_size=4), PLAIN, part)
    return cases


def steps_of(condition: Condition, options: SamplingOptions, num_steps: int | None) -> Steps:
    """Ways to draw: with 1 thread, with all of them, with those chosen."""
    usual = torch.get_num_threads()
    rows = condition.batch_size * (2 if options.guidance_scale != 1 else 1)

    def fixed(count: int) -> Callable[[], Tensor]:
        def draw() -> Tensor:
            torch.set_num_threads(count)
            try:
                return sample_grid(condition, num_steps, options=options)
            finally:
                torch.set_num_threads(usual)

        return draw

    def chosen() -> Tensor:
        with sampling_threads(condition.transformer, rows):
            return sample_grid(condition, num_steps, options=options)

    return {**{f"{count} threads": fixed(count) for count in sorted({1, usual})}, CHOSEN: chosen}


def take_any(step: Callable[[], object]) -> Sample:
    """Time `step`, whatever others take of the machine."""
    return Sample(seconds_of(step), None)


@contextmanager
def busy_neighbors(count: int) -> Iterator[None]:
    """So many processes that never rest, until the end of the block."""
    neighbors = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for neighbor in neighbors:
            neighbor.kill()
            neighbor.wait()


def print_times(figures: dict[str, dict[str, Any]]) -> None:
    names = list(next(iter(figures.values())))
    rows = []
    for title, row in figures.items():
        cells = [f"{row[name]['median_s']:.3f}" if "median_s" in row[name] else "all dropped" for name in names]
        rows.append([title, *cells, min(row[name]["n"] for name in names)])
    print_table("Median seconds", ["", *names, "samples"], rows)


if __name__ == "__main__":
    main()
