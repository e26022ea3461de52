"""What a benchmark leaves behind: tables on the screen and one JSON file."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks import RESULTS


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under a header, the first column to the left and the others to the right."""
    cells = [[str(value) for value in row] for row in (header, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    print(f"\n{title}")
    for index, row in enumerate(cells):
        others = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        print("  " + "  ".join([row[0].ljust(widths[0]), *others]))
        if index == 0:
            print("  " + "  ".join("-" * width for width in widths))


def result_path(name: str, quick: bool) -> Path:
    """Where a result goes; a quick run is a check of the script and never overwrites figures."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    stem, _, suffix = name.rpartition(".")
    return RESULTS / f"{stem}{'-quick' if quick else ''}.{suffix}"


def write_results(name: str, quick: bool, figures: dict[str, Any]) -> Path:
    """Write `figures`, with the machine they were taken on, to benchmarks/results/."""
    path = result_path(name, quick)
    path.write_text(json.dumps({"quick": quick, "machine": machine(), **figures}, indent=1) + "\n", encoding="utf-8")
    print(f"\nwritten: {path}")
    return path


def write_summary(name: str, quick: bool, title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    """Write one Markdown table to benchmarks/results/, for the cards of the models to quote; print it too."""
    print_table(title, header, rows)
    lines = [" | ".join(map(str, row)) for row in (header, ["---"] * len(header), *rows)]
    warning = "A quick run: these figures mean nothing.\n\n" if quick else ""
    path = result_path(name, quick)
    path.write_text(f"{title}\n\n{warning}" + "".join(f"| {line} |\n" for line in lines), encoding="utf-8")
    print(f"\nwritten: {path}")
    return path


def machine() -> dict[str, object]:
    return {
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def processor_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")  # Linux; elsewhere the platform module knows
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def spread(seconds: Sequence[float]) -> dict[str, float | int]:
    """Median and extremes of repeated timings."""
    return {
        "median_s": round(median(seconds), 4),
        "min_s": round(min(seconds), 4),
        "max_s": round(max(seconds), 4),
        "n": len(seconds),
    }


def describe_file(path: Path) -> dict[str, object]:
    """Digest and size of a model."""
    return {"sha256": file_digest(path), "megabytes": path.stat().st_size / 1e6}


def report_sheet(path: Path) -> None:
    print(f"\nwritten: {path}")


def file_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
