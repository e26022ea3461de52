"""Milliseconds for a token, beside the reference's `sample_with_past` and GPT-2 of transformers, same random weights.

`python3 dev.py bench` runs it; by hand, PYTHONPATH must name the repository. Everything is timed in turns, in one
process, each round in the reverse order of the one before, with a read of a large tensor and a product of large
matrices in every round; samples during which others took more than a tenth of the machine are dropped and counted.
Peak memory comes from processes that hold one contender each, the compiled one left out: its compiler would count.
Three quarters of an hour on two cores. `--quick` only checks that the script works.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch

from benchmarks.alone import run_alone
from benchmarks.bars import draw_bars
from benchmarks.machine import Probes, summarize_rates
from benchmarks.report import print_table, result_path, write_results
from benchmarks.rounds import Steps, ratio, summarize, take_turns, try_compiled
from benchmarks.token_rows import (
    GPT2,
    GPT2_COMPILED,
    GPT2_STATIC,
    PLAIN,
    REFERENCE,
    SHAPES,
    Contender,
    NotMeasured,
    count_operations,
    make_config,
    make_contender,
    make_weights,
    names,
)

PROBES = "probes"
GREEDY_TOKENS = 64
WARM_UP_TOKENS = 8
ROUNDS = {"large": 3, "small": 4, "tiny": 1}  # a round of the large shape takes minutes
GRID_TOKENS, LARGE_BATCH_TOKENS = 256, 128  # the large shape in batches draws half a grid, for the same reason
MEMORY_OF_QUICK = (REFERENCE, PLAIN)


def main() -> None:
    options = parse_arguments()
    figures: dict[str, Any] = {"shapes": {}}
    for shape in options.shapes:
        figures["shapes"][shape] = measure_shape(shape, options)
    write_results("tokens.json", options.quick, figures)
    file = draw_ratios(figures["shapes"], options)
    print(f"written: {file}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tiny model, one round: to check the script")
    parser.add_argument("--rounds", type=int, metavar="N", help="timed rounds (default 3 for large, 4 for small)")
    parser.add_argument(
        "--tokens", type=int, metavar="N", help="of each picture (default 256, a whole grid; 128 for large in batches)"
    )
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4], metavar="N", help="default 1 4")
    parser.add_argument("--shapes", nargs="+", choices=list(SHAPES), help="default large small")
    parser.add_argument("--only", nargs="+", choices=names(), metavar="NAME", help="; ".join(names()))
    options = parser.parse_args()
    options.tokens = options.tokens or (16 if options.quick else None)
    options.shapes = options.shapes or (["tiny"] if options.quick else ["large", "small"])
    options.only = options.only or [name for name in names() if not (options.quick and name == GPT2_COMPILED)]
    return options


def tokens_of(shape: str, batch: int, options: argparse.Namespace) -> int:
    """How many tokens of each picture a sample draws."""
    return options.tokens or (LARGE_BATCH_TOKENS if shape == "large" and batch > 1 else GRID_TOKENS)


def measure_shape(shape: str, options: argparse.Namespace) -> dict[str, Any]:
    contenders, missing = make_contenders(shape, options.only)
    print(f"\n{shape}: {', '.join(contenders)}")
    for name, reason in missing.items():
        print(f"{name}: not measured: {reason}")
    figures: dict[str, Any] = {"layers, heads, width": SHAPES[shape], "not_measured": missing, "batches": {}}
    figures["notes"] = {name: contender.note for name, contender in contenders.items() if contender.note}
    figures["greedy"] = compare_greedy(shape, contenders, min(GREEDY_TOKENS, options.tokens or GREEDY_TOKENS))
    figures["operations"] = measure_operations(shape, contenders)
    for batch in options.batches:
        figures["batches"][batch] = measure_batch(shape, contenders, batch, options)
    del contenders  # the processes below may need the memory
    for batch in options.batches:
        figures["batches"][batch]["memory"] = measure_memory(shape, batch, missing, options)
    return figures


def make_contenders(shape: str, wanted: list[str]) -> tuple[dict[str, Contender], dict[str, str]]:
    """Those that can be had here, and why the others cannot."""
    config = make_config(shape)
    weights = make_weights(config)
    contenders: dict[str, Contender] = {}
    missing: dict[str, str] = {}
    for name in wanted:
        try:
            contenders[name] = make_contender(name, config, weights)
        except NotMeasured as reason:
            missing[name] = str(reason)
    return contenders, missing


def compare_greedy(shape: str, contenders: Mapping[str, Contender], num_tokens: int) -> dict[str, dict[str, Any]]:
    """How many of the likeliest tokens are the first contender's, which is the reference where it is there."""
    drawn = {
        name: contender.draw(1, num_tokens, True) for name, contender in contenders.items() if name != GPT2_COMPILED
    }
    first, expected = next(iter(drawn.items()))
    agreement: dict[str, dict[str, Any]] = {}
    for name, tokens in drawn.items():
        differing = (tokens != expected)[0].nonzero()[:, 0].tolist()
        agreement[name] = {"equal": num_tokens - len(differing), "first_difference": next(iter(differing), None)}
    rows = [
        [name, f"{row['equal']} of {num_tokens}", "-" if row["first_difference"] is None else row["first_difference"]]
        for name, row in agreement.items()
    ]
    distinct = len(set(expected[0].tolist()))
    title = f"{shape}: the likeliest tokens beside those of {first} ({distinct} different codes among them)"
    print_table(title, ["", "equal", "first difference at"], rows)
    return agreement


def measure_operations(shape: str, contenders: Mapping[str, Contender]) -> dict[str, dict[str, float]]:
    counted = {name: count_operations(made) for name, made in contenders.items() if name != GPT2_COMPILED}
    rows = [[name, f"{row['called']:.0f}", f"{row['dispatched']:.0f}"] for name, row in counted.items()]
    print_table(f"{shape}: framework operations per token", ["", "called", "with those that they call"], rows)
    return counted


def measure_batch(
    shape: str, contenders: Mapping[str, Contender], batch: int, options: argparse.Namespace
) -> dict[str, Any]:
    probes = Probes(64) if options.quick else Probes()
    num_tokens, rounds = tokens_of(shape, batch, options), options.rounds or ROUNDS[shape]

    def steps(length: int) -> Steps:
        return {name: partial(made.draw, batch, length, False) for name, made in contenders.items()}

    # What is compiled is compiled for one length; the others need no whole grid to warm up.
    failed = try_compiled(steps(num_tokens), [GPT2_COMPILED])
    contenders = {name: made for name, made in contenders.items() if name not in failed}
    few = {name: step for name, step in steps(min(WARM_UP_TOKENS, num_tokens)).items() if name != GPT2_COMPILED}
    everything = {PROBES: probes.run, **steps(num_tokens)}
    samples = take_turns(everything, rounds, f"{shape}, batch {batch}", warm_up={PROBES: probes.run, **few})
    kept = [rates for rates, sample in zip(probes.rounds[1:], samples[PROBES], strict=True) if sample.is_kept]
    rates, times = summarize_rates(kept), {name: summarize(samples[name]) for name in contenders}
    for name, contender in contenders.items():
        if "median_s" in times[name]:
            add_derived(times, name, contender, rates, num_tokens)
    title = (
        f"{shape}, batch {batch}: {num_tokens} tokens, {torch.get_num_threads()} threads, medians of {rounds} rounds"
    )
    print_times(title, times, rates, num_tokens)
    counts = {"tokens": num_tokens, "rounds": rounds, "not_compiled": failed}
    return {**counts, "rates": rates, "probes": summarize(samples[PROBES]), "rows": times}


def add_derived(
    times: dict[str, dict[str, Any]], name: str, contender: Contender, rates: Mapping[str, float], num_tokens: int
) -> None:
    row = times[name]
    row["ms_per_token"] = round(1000 * row["median_s"] / num_tokens, 3)
    row["weights_gb_s"] = round(contender.weight_bytes * num_tokens / row["median_s"] / 1e9, 3)
    if rates:
        row["share_of_best_read"] = round(row["weights_gb_s"] / rates["read_best_gb_s"], 3)
        row["share_of_median_read"] = round(row["weights_gb_s"] / rates["read_median_gb_s"], 3)
    for peer in (REFERENCE, GPT2, fastest_gpt2(times)):
        row[f"times_as_fast_as {peer}"] = ratio(times, peer, name)


def fastest_gpt2(times: Mapping[str, Mapping[str, Any]]) -> str:
    """The fastest setting of GPT-2 among those measured."""
    medians = {name: times.get(name, {}).get("median_s") for name in (GPT2, GPT2_STATIC, GPT2_COMPILED)}
    return min(medians, key=lambda name: medians[name] or float("inf"))


def print_times(
    title: str, times: Mapping[str, Mapping[str, Any]], rates: Mapping[str, float], num_tokens: int
) -> None:
    best = fastest_gpt2(times)
    rows = [table_row(name, row, num_tokens, best) for name, row in times.items()]
    header = ["", "ms a token", "least-most", "x reference", "x GPT-2", "x best GPT-2", "% of reads", "dropped"]
    print_table(title, header, rows)
    if rates:
        print(
            f"  read of a large tensor: {rates['read_best_gb_s']:.1f} GB/s at best (100% of reads), "
            f"{rates['read_median_gb_s']:.1f} median; sgemm 2048: {rates['sgemm_best_gflop_s']:.0f} GFLOP/s at best, "
            f"{rates['sgemm_median_gflop_s']:.0f} median; best GPT-2: {best}"
        )
    else:
        print("  others took more than a tenth of the machine during every probe: no rates")


def table_row(name: str, row: Mapping[str, Any], num_tokens: int, best_gpt2: str) -> list[object]:
    def cell(key: str, shape: str) -> str:
        return "-" if row.get(key) is None else format(row[key], shape)

    span = "-"
    if "median_s" in row:
        span = "-".join(f"{1000 * row[key] / num_tokens:.2f}" for key in ("min_s", "max_s"))
    ratios = [cell(f"times_as_fast_as {peer}", ".2f") for peer in (REFERENCE, GPT2, best_gpt2)]
    return [name, cell("ms_per_token", ".2f"), span, *ratios, cell("share_of_best_read", ".0%"), row["dropped"]]


def measure_memory(
    shape: str, batch: int, missing: Mapping[str, str], options: argparse.Namespace
) -> dict[str, dict[str, Any]]:
    """What a process of its own takes to draw, for each contender that is not `missing`."""
    measured: dict[str, dict[str, Any]] = {}
    for name in options.only:
        if name not in (*missing, GPT2_COMPILED) and (name in MEMORY_OF_QUICK or not options.quick):
            sizes = ("--shape", shape, "--batch", batch, "--tokens", tokens_of(shape, batch, options))
            measured[name] = run_alone("token_rows", "--only", name, *sizes)
    rows = [
        [name, *(f"{row[kind]:.0f}" for kind in ("whole_mib", "grown_mib", "weights_mib"))]
        for name, row in measured.items()
    ]
    header = ["", "whole process", "came with sampling", "bytes of the matrices"]
    print_table(f"{shape}, batch {batch}: peak memory of a process of its own, MiB", header, rows)
    return measured


def draw_ratios(shapes: Mapping[str, Mapping[str, Any]], options: argparse.Namespace) -> Any:
    """Bars of how many times as fast as the reference everything is; without it, as the default GPT-2."""
    peer = REFERENCE if REFERENCE in options.only else GPT2
    groups: dict[str, dict[str, float]] = {}
    for shape, figures in shapes.items():
        for batch, measured in figures["batches"].items():
            ratios = {name: row.get(f"times_as_fast_as {peer}") for name, row in measured["rows"].items()}
            found = {name: value for name, value in ratios.items() if value is not None}
            if found:
                layers, _, width = SHAPES[shape]
                groups[f"{layers} layers x {width}, batch {batch}"] = found
    title = f"Tokens a second, where 1 is: {peer} (longer is faster)"
    return draw_bars(groups, title, "taming", result_path("tokens.png", options.quick))


if __name__ == "__main__":
    main()
