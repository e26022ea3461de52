"""Seconds to encode, decode and look for codes, beside the reference with the same weights and diffusers' VQModel.

`python3 dev.py bench` runs it; by hand, PYTHONPATH must name the repository. Everything is timed in turns, in one
process, each round in the reverse order of the one before, with a product of large matrices in every round; samples
during which others took more than a tenth of the machine are dropped and counted. Peak memory comes from processes
that hold one contender each, the compiled ones left out: their compiler would count. Pictures of 1024 x 1024 and
2048 x 2048 pixels are encoded and decoded once each, in such processes. Half an hour on two cores. `--quick` only
checks that the script works.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from functools import partial
from typing import Any

import psutil
import torch
from torch import Tensor

from benchmarks.alone import run_alone
from benchmarks.codec_rows import (
    COMPILED,
    GFLOP,
    NAMES,
    OURS,
    REFERENCE,
    SHAPES,
    WITH_OUR_WEIGHTS,
    Contender,
    inputs,
    make_contender,
)
from benchmarks.machine import Probes, summarize_rates
from benchmarks.report import print_table, write_results
from benchmarks.rounds import Steps, ratio, summarize, take_turns, try_compiled
from benchmarks.token_rows import NotMeasured

PROBES = "probes"
TOLERANCE = 3e-5  # of the largest value of the reference, as for the published configuration in tests/parity
WORK = [("decode", 256), ("decode", 512), ("encode", 256), ("encode", 512), ("nearest", 256), ("nearest", 1024)]
QUICK_WORK = [("decode", 64), ("encode", 64), ("nearest", 256)]
LARGE_SIDES, QUICK_LARGE_SIDES = (1024, 2048), (256, 512)  # the second twice the first
# What a picture of twice the side adds to a process, in times: four for its tensors, and more for attention, whose
# matrix the reference keeps whole.
GROWTH = 6


def main() -> None:
    options = parse_arguments()
    contenders, missing = make_contenders(options)
    for name, reason in missing.items():
        print(f"{name}: not measured: {reason}")
    shape = {"width, multiples, codes, their width": SHAPES[options.shape]}
    figures: dict[str, Any] = {"shape": shape, "not_measured": missing, "work": {}}
    with torch.inference_mode():
        for work, size in options.work:
            figures["work"][f"{work} {size}"] = measure(work, size, contenders, options)
    names = list(contenders)
    del contenders  # the processes below may need the memory
    for work, size in options.work:
        figures["work"][f"{work} {size}"]["memory"] = measure_memory(work, size, names, options)
    figures["large"] = {work: measure_large(work, names, options) for work in ("encode", "decode")}
    write_results("codec.json", options.quick, figures)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tiny model, one round: to check the script")
    parser.add_argument("--rounds", type=int, metavar="N", help="timed rounds (default 5)")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES), metavar="NAME", help="; ".join(NAMES))
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.shape = "tiny" if options.quick else "published f16"
    options.work = QUICK_WORK if options.quick else WORK
    options.large_sides = QUICK_LARGE_SIDES if options.quick else LARGE_SIDES
    return options


def make_contenders(options: argparse.Namespace) -> tuple[dict[str, Contender], dict[str, str]]:
    """Those that can be had here, and why the others cannot."""
    contenders: dict[str, Contender] = {}
    missing: dict[str, str] = {}
    for name in options.only:
        try:
            contenders[name] = make_contender(name, options.shape)
        except NotMeasured as reason:
            missing[name] = str(reason)
    return contenders, missing


def measure(work: str, size: int, contenders: Mapping[str, Contender], options: argparse.Namespace) -> dict[str, Any]:
    given = inputs(options.shape, work, size)
    runs = {name: getattr(contender, work) for name, contender in contenders.items()}
    steps: Steps = {name: partial(run, given) for name, run in runs.items() if run is not None}
    failed = try_compiled(steps, COMPILED)
    steps = {name: step for name, step in steps.items() if name not in failed}
    figures: dict[str, Any] = {"agreement": compare(work, steps), "not_compiled": failed}
    probes = Probes(64)
    samples = take_turns({PROBES: probes.run, **steps}, options.rounds, f"{work} {size}")
    kept = [rates for rates, sample in zip(probes.rounds[1:], samples[PROBES], strict=True) if sample.is_kept]
    rates, times = summarize_rates(kept), {name: summarize(samples[name]) for name in steps}
    gflop = None if options.quick else GFLOP.get((work, size))
    for name, row in times.items():
        row[f"times_as_fast_as {REFERENCE}"] = ratio(times, REFERENCE, name)
        if gflop and rates and "median_s" in row:
            row["gflop_s"] = round(gflop / row["median_s"], 1)
            row["share_of_sgemm"] = round(row["gflop_s"] / rates["sgemm_median_gflop_s"], 3)
    print_times(f"{work} {size}", times, rates, options)
    return {**figures, "rates": rates, "rows": times}


def compare(work: str, steps: Steps) -> dict[str, dict[str, float]]:
    """How far those with the reference's weights are from it: the share of equal codes, or the relative error.

    Raises:
        ValueError: one of ours does not do the same work.
    """
    if REFERENCE not in steps:
        return {}
    expected = steps[REFERENCE]()
    assert isinstance(expected, Tensor)
    agreement: dict[str, dict[str, float]] = {}
    for name in WITH_OUR_WEIGHTS:
        if name not in steps:
            continue
        made = steps[name]()
        assert isinstance(made, Tensor)
        if work == "nearest":
            equal = (made == expected).float().mean().item()
            print(f"{work}, {name}: {equal:.2%} of {made.numel()} codes are the reference's")
            agreement[name] = {"equal": equal}
            continue
        error = ((made - expected).abs().max() / expected.abs().max()).item()
        if error > TOLERANCE and name not in COMPILED:
            raise ValueError(f"{work}, {name}: {error:.1e} of the reference's largest value off, over {TOLERANCE:.0e}.")
        print(f"{work}, {name}: within {error:.1e} of the reference's largest value")
        agreement[name] = {"relative_error": error}
    return agreement


def print_times(
    title: str, times: Mapping[str, Mapping[str, Any]], rates: Mapping[str, float], options: argparse.Namespace
) -> None:
    def cell(row: Mapping[str, Any], key: str, shape: str, scale: float = 1) -> str:
        return "-" if row.get(key) is None else format(row[key] * scale, shape)

    rows = []
    for name, row in times.items():
        span = "-".join(cell(row, key, ".1f", 1000) for key in ("min_s", "max_s"))
        ratios = [cell(row, f"times_as_fast_as {REFERENCE}", ".2f"), cell(row, "gflop_s", ".0f")]
        share = cell(row, "share_of_sgemm", ".0%")
        rows.append([name, cell(row, "median_s", ".1f", 1000), span, *ratios, share, row["dropped"]])
    header = ["", "ms", "least-most", "x reference", "GFLOP/s", "of sgemm", "dropped"]
    threads = torch.get_num_threads()
    print_table(f"{title}: {threads} threads, medians of {options.rounds} rounds", header, rows)
    if rates:
        print(f"  sgemm 2048 in the same rounds: {rates['sgemm_median_gflop_s']:.0f} GFLOP/s, the median")
    else:
        print("  others took more than a tenth of the machine during every probe: no rates")


def measure_memory(work: str, size: int, names: list[str], options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """What a process of its own takes, for each contender that has this part."""
    measured: dict[str, dict[str, float]] = {}
    for name in names:
        if name in COMPILED or (work == "nearest" and name not in (OURS, REFERENCE)):
            continue
        measured[name] = run_once(name, work, size, options)
    rows = [[name, f"{row['whole_mib']:.0f}", f"{row['grown_mib']:.0f}"] for name, row in measured.items()]
    header = ["", "whole process", "came with the work"]
    print_table(f"{work} {size}: peak memory of a process of its own, MiB", header, rows)
    return measured


def run_once(name: str, work: str, size: int, options: argparse.Namespace) -> dict[str, float]:
    """Memory and seconds of one run in a process that holds nothing else."""
    return run_alone("codec_rows", "--only", name, "--shape", options.shape, "--work", work, "--size", size)


def measure_large(work: str, names: list[str], options: argparse.Namespace) -> dict[str, dict[int, dict[str, Any]]]:
    """One run each of the reference and of ours at two sizes; the larger only where memory will do."""
    measured: dict[str, dict[int, dict[str, Any]]] = {}
    rows = []
    for name in (REFERENCE, OURS):
        if name not in names:
            continue
        measured[name] = {}
        for size in options.large_sides:
            smaller = next(iter(measured[name].values()), None)
            needed_mib = smaller["grown_mib"] * GROWTH + smaller["whole_mib"] - smaller["grown_mib"] if smaller else 0
            free_mib = psutil.virtual_memory().available / 2**20
            if name == REFERENCE and needed_mib > free_mib:
                reason = f"about {needed_mib:.0f} MiB needed, {free_mib:.0f} free"
                measured[name][size] = {"not_measured": reason}
                rows.append([name, size, "-", "-", "-", f"not measured: {reason}"])
                continue
            row = measured[name][size] = run_once(name, work, size, options)
            by_others = "-" if row["foreign"] is None else f"{row['foreign']:.0%} of the machine"
            seconds, mib = f"{row['seconds']:.1f}", (f"{row[kind]:.0f}" for kind in ("whole_mib", "grown_mib"))
            rows.append([name, size, seconds, *mib, by_others])
    header = ["", "side", "seconds", "whole process, MiB", "came with the work, MiB", "taken by others meanwhile"]
    print_table(f"{work} large pictures: one run each, in a process of its own", header, rows)
    return measured


if __name__ == "__main__":
    main()
