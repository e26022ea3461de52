"""What the pack adds to the start: `import taming` beyond torch, and ComfyUI with the pack and without it.

`python3 dev.py bench` runs it; by hand, PYTHONPATH must name the repository. Each start is a fresh process; the
variants take turns and medians are compared. ComfyUI is measured where dev.py has already put one or COMFYUI_PATH names
one. `--quick` only checks that the script works.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import ROOT
from benchmarks.report import print_table, spread, write_results
from devtools import CACHE
from devtools.host import PACK_FOLDER, VERSION, Host, get_host, make_base

IMPORTS = {"torch": "import torch", "torch and taming": "import torch, taming"}
PACK_SECONDS = re.compile(rf"([\d.]+) seconds: .*{PACK_FOLDER}\s*$", re.MULTILINE)  # in ComfyUI's log


def main() -> None:
    options = parse_arguments()
    figures: dict[str, Any] = {"import": measure_import(options.rounds)}
    host = None if options.no_host else find_host()
    if host is None:
        print("ComfyUI's start: not measured (no ComfyUI here, or --no-host)")
    else:
        figures["comfyui_start"] = measure_host(host, options.host_rounds)
    write_results("import.json", options.quick, figures)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round: to check the script")
    parser.add_argument("--rounds", type=int, metavar="N", help="of imports (default 9)")
    parser.add_argument("--host-rounds", type=int, metavar="N", help="of ComfyUI starts (default 5)")
    parser.add_argument("--no-host", action="store_true", help="leave ComfyUI out")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 9)
    options.host_rounds = options.host_rounds or (1 if options.quick else 5)
    return options


@dataclass(frozen=True)
class Run:
    """One process from its start to its end."""

    wall_s: float
    cpu_s: float  # of the process and its children; steadier than the clock on a busy machine
    log: str  # what it printed


def measure_import(rounds: int) -> dict[str, Any]:
    """Time whole processes that import torch alone, and torch and this library."""
    runs: dict[str, list[Run]] = {name: [] for name in IMPORTS}
    with tempfile.TemporaryDirectory() as folder:  # elsewhere than the repository, so that only PYTHONPATH finds it
        for round_number in range(rounds + 1):  # the first fills the page cache and writes the bytecode
            for name, statement in IMPORTS.items():
                run = time_process([sys.executable, "-c", statement], Path(folder))
                if round_number:
                    runs[name].append(run)
    return report("`import taming`, whole process", runs)


def find_host() -> Host | None:
    """The ComfyUI that is here already; nothing is downloaded for a benchmark."""
    path = os.environ.get("COMFYUI_PATH")
    present = path or (CACHE / f"ComfyUI-{VERSION}" / "main.py").is_file()
    return get_host(path) if present else None


def measure_host(host: Host, rounds: int) -> dict[str, Any]:
    """Time ComfyUI until its nodes are loaded and it exits, in two base directories that differ by the pack alone."""
    runs: dict[str, list[Run]] = {"without the pack": [], "with the pack": []}
    loading: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in runs:
            make_base(Path(folder) / name, host)
        remove_pack(Path(folder) / "without the pack")
        for round_number in range(rounds + 1):
            for name, done in runs.items():
                run = start_host(host, Path(folder) / name)
                found = PACK_SECONDS.search(run.log)
                if (found is not None) != (name == "with the pack") or "IMPORT FAILED" in run.log:
                    raise RuntimeError(f"ComfyUI {name} did not load what it should:\n{run.log[-2000:]}")
                if round_number:
                    done.append(run)
                    loading += [float(found[1])] if found else []
    figures = report("ComfyUI until its nodes are loaded", runs)
    figures["loading_the_pack_by_comfyui_s"] = median(loading)
    print(f"  ComfyUI's own figure for loading the pack: {median(loading):.1f} s")
    return figures


def remove_pack(base: Path) -> None:
    link = base / "custom_nodes" / PACK_FOLDER
    if not link.is_symlink():
        raise RuntimeError(f"{link} is a copy of the pack, not a link; this benchmark needs a system with links")
    link.unlink()


def start_host(host: Host, base: Path) -> Run:
    """Start ComfyUI in `base`; it ends right after loading the nodes."""
    command = [host.python, "main.py", "--quick-test-for-ci", "--cpu", "--base-directory", base]
    command += ["--database-url", "sqlite:///:memory:", "--disable-api-nodes"]
    return time_process([str(part) for part in command], host.tree)


def time_process(command: list[str], folder: Path) -> Run:
    before, start = os.times(), time.perf_counter()
    result = subprocess.run(
        command,
        cwd=folder,
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    wall, after = time.perf_counter() - start, os.times()
    if result.returncode != 0:
        raise RuntimeError(f"{command[:3]} ended with status {result.returncode}:\n{result.stdout[-2000:]}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Run(wall, cpu, result.stdout)


def report(title: str, runs: dict[str, list[Run]]) -> dict[str, Any]:
    """Print medians for the two variants in `runs` and what the second adds; returns them as figures."""
    figures: dict[str, Any] = {}
    for clock in ("wall_s", "cpu_s"):
        seconds = {name: [getattr(run, clock) for run in done] for name, done in runs.items()}
        without, with_it = seconds.values()
        seconds["added"] = [b - a for a, b in zip(without, with_it, strict=True)]
        figures[clock] = {name: spread(values) for name, values in seconds.items()}
        rows = [
            [name, f"{row['median_s']:.2f}", f"{row['min_s']:.2f}", f"{row['max_s']:.2f}"]
            for name, row in figures[clock].items()
        ]
        kind = "seconds by the clock" if clock == "wall_s" else "seconds of CPU time"
        print_table(f"{title}: {kind}, {len(without)} rounds", ["", "median", "least", "most"], rows)
    return figures


if __name__ == "__main__":
    main()
