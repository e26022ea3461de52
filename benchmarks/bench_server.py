"""How the nodes behave in a running ComfyUI: cancel latency, memory given back by /free, previews on the way.

`python3 dev.py bench` runs it, with the tests' own client. `--quick` takes one round.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.report import print_table, write_results
from devtools.host import get_host, make_base
from devtools.live_server import LiveServer, Message, Run
from prompts import CELLS, DECODE, LOAD, SAMPLE, drawing, reconstruction

Moment = Callable[[Message], bool]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round: to check the script")
    options = parser.parse_args()
    host = get_host()
    with tempfile.TemporaryDirectory() as folder:
        make_base(Path(folder), host)
        with LiveServer(host, Path(folder)) as server:
            figures = {
                "cancel_s": measure_cancel(server, 1 if options.quick else 5),
                "memory_mib": measure_memory(server),
                "previews": measure_previews(server),
            }
    rows = [[moment, f"{row['median']:.2f}", f"{row['most']:.2f}"] for moment, row in figures["cancel_s"].items()]
    print_table("Cancel to the end of the run: seconds", ["while", "median", "most"], rows)
    rows = [[name, f"{mib:.0f}"] for name, mib in figures["memory_mib"].items()]
    print_table("Resident memory", ["", "MiB"], rows)
    print_table("Live previews", ["", ""], [[name, value] for name, value in figures["previews"].items()])
    write_results("server.json", options.quick, figures)


def measure_cancel(server: LiveServer, rounds: int) -> dict[str, dict[str, float]]:
    """Cancel at every stage of a run, and wait for the server to say that it ended."""
    moments: dict[str, tuple[dict[str, Any], Moment]] = {
        "loading": (drawing(seed=7, batch_size=4), starts(LOAD)),
        "first token": (drawing(seed=7, batch_size=4), starts(SAMPLE)),
        "half way": (drawing(seed=8, batch_size=4), is_half_way),
        "decoding 4 pictures": (drawing(seed=9, batch_size=4), starts(DECODE)),
        "encoding 512 px": (reconstruction(512, 512), starts("encode")),
        "decoding 512 px": (reconstruction(512, 512, batch_size=2), starts(DECODE)),
    }
    found: dict[str, list[float]] = {name: [] for name in moments}
    for _ in range(rounds):
        for name, (prompt, when) in moments.items():
            server.free()
            time.sleep(2)
            found[name].append(cancel_at(server, prompt, when))
    return {name: {"median": median(seconds), "most": max(seconds)} for name, seconds in found.items()}


def cancel_at(server: LiveServer, prompt: dict[str, Any], when: Moment) -> float:
    asked: list[float] = []

    def watcher(message: Message) -> None:
        if not asked and when(message):
            asked.append(time.monotonic())
            server.interrupt()

    run: Run = server.watch(prompt, on_message=watcher)
    return run.of("execution_interrupted")[0].at - asked[0]


def starts(name: str) -> Moment:
    return lambda message: message.kind == "executing" and message.data["node"] == name


def is_half_way(message: Message) -> bool:
    return message.kind == "progress" and message.data["value"] >= CELLS // 2


def measure_memory(server: LiveServer) -> dict[str, float]:
    """Resident memory after /free, before and after another drawing: what a drawing leaves behind."""
    figures: dict[str, float] = {}
    for name in ("after the first /free", "after the second /free"):
        server.watch(drawing(seed=11, batch_size=4))
        figures[f"drawn, before {name[6:]}"] = server.rss_mib()
        server.free()
        time.sleep(3)
        figures[name] = server.rss_mib()
    return figures


def measure_previews(server: LiveServer) -> dict[str, int]:
    run = server.watch(drawing(seed=12), preview_method="auto")
    return {"previews of one picture": len(run.previews), "tokens": CELLS}


if __name__ == "__main__":
    main()
