"""Seconds and memory of a training step, plain and with what saves memory, beside the reference's step.

`python3 dev.py bench` runs it; by hand, PYTHONPATH must name the repository. Every row is a process of its own, which
trains on noise: same shapes, same loss (L1, codebook, adversarial with the adaptive weight; cross-entropy with pkeep),
the reference with its own modules, loss and optimizers. Memory is how far the peak of the process lies over what it
held before its first step: activations, gradients and what the optimizers keep. Medians of the steps after the first.
`--quick` only checks that the script works.
"""

from __future__ import annotations

import argparse
from typing import Any

from benchmarks.alone import run_alone
from benchmarks.report import print_table, spread, write_results
from benchmarks.training_rows import CHANGES, REFERENCE, SIZES
from devtools.reference import find_reference

MODELS = ("vqgan", "transformer")


def main() -> None:
    options = parse_arguments()
    rows = [REFERENCE, *list(CHANGES)[-2 if options.quick else 0 :]]
    if find_reference() is None:
        print("the reference is not in .reference/ (`python3 dev.py bench` puts it there): not measured")
        rows.remove(REFERENCE)
    figures: dict[str, dict[str, Any]] = {}
    for model in MODELS:
        measured = {row: measure(model, row, options) for row in rows}
        figures[model] = {"shape": SIZES[options.size][model], "rows": measured}
        print_rows(model, measured, options)
    write_results("training.json", options.quick, {"device": options.device, **figures})


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny models, two steps, few rows: to check the script")
    parser.add_argument("--steps", type=int, metavar="N", help="timed steps of each row (default 5)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, ... (default cpu)")
    options = parser.parse_args()
    options.steps = options.steps or (2 if options.quick else 5)
    options.size = "quick" if options.quick else "full"
    return options


def measure(model: str, row: str, options: argparse.Namespace) -> dict[str, Any]:
    """The figures of one row: seconds a step, and MiB."""
    found = run_alone("training_rows", model, row, options.size, options.steps, options.device)
    return {**spread(found.pop("seconds")), **found}


def print_rows(model: str, rows: dict[str, dict[str, Any]], options: argparse.Namespace) -> None:
    first = next(iter(rows.values()))
    memory = [name for name in ("resident_mib", "allocated_mib") if name in first]
    table = [
        [
            name,
            f"{row['median_s']:.3f} ({row['min_s']:.3f}-{row['max_s']:.3f})",
            f"{row['median_s'] / first['median_s']:.2f}",
            *(f"{row[kind]:.0f}" for kind in memory),
        ]
        for name, row in rows.items()
    ]
    shape = ", ".join(f"{key} {value}" for key, value in SIZES[options.size][model].items())
    title = f"A training step of a {model} ({shape}) on {options.device}: median of {options.steps}"
    print_table(title, ["", "seconds", f"of {next(iter(rows))}", *(name.replace("_", " ") for name in memory)], table)


if __name__ == "__main__":
    main()
