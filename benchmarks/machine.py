"""What the machine gives while a benchmark runs: time taken by others, memory bandwidth, matrix rate, peak memory."""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch

MAX_FOREIGN = 0.10  # of the machine; a sample during which others took more is dropped
MIN_TICKS = 40  # of all cores together; a shorter sample cannot be judged, the kernel counts in steps of 10 ms
READS, GEMMS = 9, 3  # per round
GEMM_SIDE = 2048


@dataclass(frozen=True)
class Sample:
    """One timed call."""

    seconds: float
    foreign: float | None  # share of the machine that others used meanwhile; None where that cannot be told

    @property
    def is_kept(self) -> bool:
        return self.foreign is None or self.foreign <= MAX_FOREIGN


def take_sample(step: Callable[[], object]) -> Sample:
    """Time `step`, and what other processes and the hypervisor took of the machine meanwhile."""
    stat, own, start = read_stat(), time.process_time(), time.perf_counter()
    step()
    seconds = time.perf_counter() - start
    return Sample(seconds, foreign_share(stat, read_stat(), time.process_time() - own))


@dataclass(frozen=True)
class Stat:
    """CPU time since the start of the machine, in ticks of 10 ms, all cores together."""

    busy: int  # stolen by the hypervisor included
    total: int


def read_stat(file: Path = Path("/proc/stat")) -> Stat | None:
    """The first line of `/proc/stat`; None on a system without it."""
    if not file.is_file():
        return None
    user, nice, system, idle, wait, *interrupts_and_stolen = map(int, file.read_text().split("\n")[0].split()[1:9])
    busy = user + nice + system + sum(interrupts_and_stolen)
    return Stat(busy, busy + idle + wait)


def foreign_share(before: Stat | None, after: Stat | None, own_seconds: float) -> float | None:
    """The share of all cores' time between two readings that was neither idle nor this process's own."""
    if before is None or after is None or after.total - before.total < MIN_TICKS:
        return None
    total = after.total - before.total
    return max(0.0, (after.busy - before.busy - 100 * own_seconds) / total)


@dataclass(frozen=True)
class Rates:
    """What the machine gave in one round."""

    reads_gb_s: list[float]
    gemms_gflop_s: list[float]


class Probes:
    """Reads of a large tensor and products of large matrices, to be run in turns with what is measured.

    Args:
        read_mib: size of the tensor; several times the last cache, or the cache is what is measured.
    """

    def __init__(self, read_mib: int = 1024) -> None:
        self.buffer = torch.ones(read_mib * 2**18)  # float32
        self.left, self.right = torch.rand(2, GEMM_SIDE, GEMM_SIDE)
        self.rounds: list[Rates] = []

    def run(self) -> None:
        reads = [self.buffer.nbytes / 1e9 / seconds_of(self.buffer.sum) for _ in range(READS)]
        flops = 2 * GEMM_SIDE**3
        gemms = [flops / 1e9 / seconds_of(lambda: self.left @ self.right) for _ in range(GEMMS)]
        self.rounds.append(Rates(reads, gemms))


def seconds_of(step: Callable[[], object]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def summarize_rates(rounds: list[Rates]) -> dict[str, float | int]:
    """Best and median of what the kept rounds measured; empty without any."""
    if not rounds:
        return {}
    reads = [rate for rates in rounds for rate in rates.reads_gb_s]
    gemms = [rate for rates in rounds for rate in rates.gemms_gflop_s]
    return {
        "read_best_gb_s": round(max(reads), 2),
        "read_median_gb_s": round(median(reads), 2),
        "sgemm_best_gflop_s": round(max(gemms), 1),
        "sgemm_median_gflop_s": round(median(gemms), 1),
        "rounds": len(rounds),
    }


def start_counting_peak() -> None:
    """Let `peak_mib` count from here on, where the system can (Linux), without what is free by now."""
    if sys.platform == "linux":
        give_back = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc, which keeps much of what was freed
        if give_back is not None:
            give_back(0)
        Path("/proc/self/clear_refs").write_text("5")


def peak_mib() -> float:
    """The most memory that this process held at once, since `start_counting_peak` or since its start."""
    if sys.platform == "linux":
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # bytes on macOS
