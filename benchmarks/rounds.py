"""Contenders timed in turns, and what is told of their samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.machine import Sample, take_sample

Steps = dict[str, Callable[[], object]]  # by name, what is timed


def take_turns(
    steps: Steps,
    rounds: int,
    title: str = "",
    *,
    warm_up: Steps | None = None,
    take: Callable[[Callable[[], object]], Sample] = take_sample,
) -> dict[str, list[Sample]]:
    """Time every step once per round, in the order given and reversed in turns, after one round that does not count.

    Args:
        warm_up: what runs in place of that round, for steps that need no whole one.
        take: runs a step and says how long it took.
    """
    first = steps if warm_up is None else warm_up
    for name in reversed(first):
        first[name]()
    samples: dict[str, list[Sample]] = {name: [] for name in steps}
    for number in range(1, rounds + 1):
        for name in steps if number % 2 else reversed(steps):  # nobody always goes first
            samples[name].append(take(steps[name]))
        print(f"{title}{': ' * bool(title)}{number} of {rounds} rounds", flush=True)
    return samples


def try_compiled(steps: Steps, names: Sequence[str]) -> dict[str, str]:
    """Run the compiled ones among `steps` once, so that they are compiled; returns those that cannot be, and why."""
    failed: dict[str, str] = {}
    for name in names:
        if name in steps:
            try:
                steps[name]()
            except RuntimeError as error:  # all of the compiler's own errors are
                failed[name] = str(error).strip().partition("\n")[0] or type(error).__name__
                print(f"{name}: not measured: {failed[name]}")
    return failed


def summarize(samples: Sequence[Sample]) -> dict[str, Any]:
    """Median and extremes of the samples kept, how many were dropped, and the load by others during each.

    Without a sample that was kept there are no times, only the counts.
    """
    kept = [sample.seconds for sample in samples if sample.is_kept]
    shares = [None if sample.foreign is None else round(sample.foreign, 3) for sample in samples]
    counts = {"n": len(kept), "dropped": len(samples) - len(kept), "foreign": shares}
    if not kept:
        return counts
    times = {"median_s": median(kept), "min_s": min(kept), "max_s": max(kept)}
    return {**{name: round(seconds, 5) for name, seconds in times.items()}, **counts}


def ratio(figures: Mapping[str, Mapping[str, Any]], slow: str, fast: str) -> float | None:
    """How many times as fast `fast` is as `slow`; None where one of them was not measured."""
    slow_s, fast_s = (figures.get(name, {}).get("median_s") for name in (slow, fast))
    return None if slow_s is None or fast_s is None else round(slow_s / fast_s, 3)
