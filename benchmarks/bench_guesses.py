"""One picture drawn cell by cell and several cells at a time by guesses: seconds, calls, and whether they are equal.

`python3 dev.py bench` runs it; by hand, PYTHONPATH must name the repository. How often a guess is right depends on what
a model has learned, so it is the embedded models that draw: every class, at the defaults of the node and at what its
help recommends, and scenes by maps. Both ways take turns, each round in the reverse order of the one before. `--quick`
only checks that the script works.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks import ASSETS
from benchmarks.bench_embedded import PLACING, SETTINGS
from benchmarks.drawing import draw_grid
from benchmarks.real_scenes import load_mapped_scenes
from benchmarks.report import print_table, write_results
from benchmarks.rounds import Steps, ratio, summarize, take_turns
from taming import get_condition, load_transformer
from taming.conditioning import Condition
from taming.models import Transformer
from taming.sampling import SamplingOptions

ALONE, GUESSING = "one by one", "guessing"
PRECISIONS = ("fp32", "fp16")  # the others are drawn one by one
SEED = 78_000

Tell = Callable[[Transformer, int], Condition]  # what picture so many is told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one picture, one round: to check the script")
    parser.add_argument("--rounds", type=int, metavar="N", help="timed rounds (default 5)")
    options = parser.parse_args()
    pictures, rounds = (1, 1) if options.quick else (12, options.rounds or 5)
    maps = torch.from_numpy(load_mapped_scenes(replace(PLACING, count=pictures), 1).maps).long()
    subjects: dict[str, tuple[str, Tell]] = {
        "class": ("scenes_class_transformer", lambda model, number: get_condition(model, label=number % 12)),
        "map": ("scenes_segmentation_transformer", lambda model, n: get_condition(model, segmentation=maps[n : n + 1])),
    }
    figures: dict[str, Any] = {}
    for name, (file, tell) in subjects.items():
        for precision in PRECISIONS[: 1 if options.quick else None]:
            model, _ = load_transformer(ASSETS / f"{file}.safetensors", precision=precision)
            for setting, drawing in SETTINGS.items():
                if tell(model, 0).null_prefix is None:
                    drawing = replace(drawing, guidance_scale=1.0)
                title = f"{name} model, {precision}, {setting}"
                figures[title] = measure(model, [tell(model, n) for n in range(pictures)], drawing, rounds, title)
    show(figures, pictures, rounds)
    write_results("guesses.json", options.quick, figures)


def measure(
    model: Transformer, told: list[Condition], options: SamplingOptions, rounds: int, title: str
) -> dict[str, Any]:
    steps: Steps = {name: partial(draw, told, options, name == GUESSING) for name in (ALONE, GUESSING)}
    calls: list[int] = []
    hook = model.tok_emb.register_forward_pre_hook(lambda *_: calls.append(1))
    counts, grids = {}, {}
    for name, step in steps.items():
        calls.clear()
        grids[name] = step()
        counts[name] = len(calls)
    hook.remove()
    times = {name: summarize(samples) for name, samples in take_turns(steps, rounds, title).items()}
    equal = sum(map(torch.equal, grids[ALONE], grids[GUESSING]))
    return {
        "seconds": times,
        "times_as_fast": ratio(times, ALONE, GUESSING),
        "cells_a_call": round(counts[ALONE] / counts[GUESSING], 3),
        "equal_grids": equal,
    }


def draw(told: list[Condition], options: SamplingOptions, draft: bool) -> list[Tensor]:
    """A grid for each condition, (1, h, w), the first with the first seed."""
    return [draw_grid(each, options, SEED + number, draft=draft) for number, each in enumerate(told)]


def show(figures: dict[str, Any], pictures: int, rounds: int) -> None:
    rows = []
    for title, figure in figures.items():
        seconds = [f"{figure['seconds'][name].get('median_s', float('nan')):.3f}" for name in (ALONE, GUESSING)]
        rows.append([title, *seconds, figure["times_as_fast"], figure["cells_a_call"], figure["equal_grids"]])
    header = ["", ALONE, GUESSING, "times as fast", "cells a call", "equal"]
    threads = torch.get_num_threads()
    print_table(
        f"Seconds for {pictures} pictures, one after the other: {threads} threads, medians of {rounds} rounds",
        header,
        rows,
    )


if __name__ == "__main__":
    main()
