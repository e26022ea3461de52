"""What ComfyUI costs: seconds of a node in a running server beside the same call in Python, in a process of its own.

`python3 dev.py bench` runs it, with the tests' own client. Sample Tokens draws whole grids with the embedded class
model, where a step is short and so the host's share is largest, and with random weights of 12 layers x 512; Decode
Tokens decodes several pictures. The node's time is that between the server's word that it starts and its word that the
next one does, progress bar and websocket included, with live previews and without. Both sides take turns with torch's
default number of threads, each round in the reverse order of the one before; samples during which others took more
than a tenth of the machine are dropped. Ten minutes on two cores. `--quick` only checks that the script works.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from torch import Tensor

from benchmarks import ASSETS
from benchmarks.machine import Sample, foreign_share, read_stat
from benchmarks.report import print_table, write_results
from benchmarks.rounds import Steps, summarize, take_turns
from benchmarks.token_rows import make_config, make_weights
from devtools.host import get_host, make_base
from devtools.live_server import LiveServer, Run
from prompts import DECODE, LABEL, LOAD, SAMPLE, SHOW, TRANSFORMER, VQGAN, Prompt, drawing, pixels, reconstruction
from taming import get_condition, load_transformer, load_vqgan
from taming.checkpoints import save_checkpoint
from taming.models import VQModel, prepare_for_sampling

PYTHON, NODE, PREVIEWS = "in Python", "node, previews off", "node, previews on"
EMBEDDED, LARGE = "embedded class model", "12 layers x 512"
CLASS = "alpine"
GOAL = 5.0  # percent


@dataclass(frozen=True)
class Draw:
    """Draw so many whole grids with a model."""

    model: str  # EMBEDDED or LARGE
    batch: int
    seed: int


@dataclass(frozen=True)
class Decode:
    """Decode so many grids to pictures of `side` pixels."""

    batch: int
    side: int


@dataclass(frozen=True)
class Sizes:
    """What is measured."""

    rounds: int
    batches: tuple[int, ...]
    shape: str  # of the larger model
    pictures: int
    side: int  # of a picture to decode, in pixels


FULL, QUICK = Sizes(5, (4, 8), "small", 8, 512), Sizes(1, (2,), "tiny", 2, 128)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tiny model, one round: to check the script")
    parser.add_argument("--rounds", type=int, metavar="N", help="timed rounds (default 5)")
    options = parser.parse_args()
    sizes = QUICK if options.quick else FULL
    rounds = options.rounds or sizes.rounds
    host = get_host()
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        make_base(base, host)
        file = write_large(base / "models" / "taming_transformers", sizes.shape)
        with LiveServer(host, base) as server, Caller(file) as caller:
            figures = measure(server, caller, file.name, sizes, rounds)
    show(figures, rounds)
    write_results("overhead.json", options.quick, {"rounds": rounds, "rows": figures})


def write_large(folder: Path, shape: str) -> Path:
    """A transformer with random weights for the codes of the embedded VQGAN, and that one beside it."""
    folder.mkdir(parents=True)
    vqgan = Path(shutil.copy(ASSETS / Path(VQGAN).name, folder))
    save_checkpoint(make_weights(make_config(shape)), folder / "large.safetensors", first_stage=vqgan)
    return folder / "large.safetensors"


class Caller:
    """A process that does in Python what the nodes do, and nothing else; use it in a `with` block."""

    def __init__(self, large: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=answer_calls, args=(theirs, large), daemon=True)

    def __enter__(self) -> Caller:
        self.process.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.process.terminate()
        self.process.join()

    def call(self, job: Draw | Decode) -> tuple[float, np.ndarray]:
        """Seconds that the call took, and the first picture of a drawing, (H, W, 3) uint8."""
        self.connection.send(job)
        while not self.connection.poll(1):
            assert self.process.is_alive(), "the process that calls Python ended"
        return self.connection.recv()


def answer_calls(connection: Connection, large: Path) -> None:
    """What runs in that process."""
    files = {EMBEDDED: ASSETS / Path(TRANSFORMER).name, LARGE: large}
    transformers = {name: load_transformer(file)[0] for name, file in files.items()}
    for transformer in transformers.values():
        prepare_for_sampling(transformer, "auto")  # as the loader does
    vqgan = load_vqgan(ASSETS / Path(VQGAN).name)
    while True:
        job = connection.recv()
        if isinstance(job, Decode):
            side = job.side // vqgan.factor
            tokens = torch.randint(vqgan.config.n_embed, (job.batch, side, side))
            start = time.perf_counter()
            picture = decode(vqgan, tokens)
            seconds = time.perf_counter() - start
        else:
            transformer = transformers[job.model]
            label = CLASS if job.model == EMBEDDED else None
            start = time.perf_counter()
            condition = get_condition(transformer, label=label, batch_size=job.batch)
            tokens = transformer.sample(condition, seed=job.seed)
            seconds = time.perf_counter() - start
            picture = decode(vqgan, tokens[:1])
        connection.send((seconds, (picture[0] * 255).byte().movedim(0, -1).numpy()))


@torch.inference_mode()
def decode(vqgan: VQModel, tokens: Tensor) -> Tensor:
    """Pictures in [0, 1], (B, 3, H, W), decoded one by one as the node does."""
    pictures = torch.cat([vqgan.decode_indices(item) for item in tokens.split(1)])
    return (pictures.clamp(-1, 1) + 1) / 2


def measure(server: LiveServer, caller: Caller, large: str, sizes: Sizes, rounds: int) -> dict[str, Any]:
    take = partial(take_from, [psutil.Process(pid) for pid in (os.getpid(), server_id(server), caller.process.pid)])
    figures: dict[str, Any] = {}
    fresh = count(1)  # seeds and colors; what was drawn before would come from the server's cache
    for model in (EMBEDDED, LARGE):
        for batch in sizes.batches:
            title = f"{model}, {batch} pictures"
            equal = compare(server, caller, large, model, batch)
            steps: Steps = {
                PYTHON: lambda model=model, batch=batch: caller.call(Draw(model, batch, next(fresh)))[0],
                NODE: partial(draw_in_server, server, large, model, batch, fresh, "none"),
                PREVIEWS: partial(draw_in_server, server, large, model, batch, fresh, "auto"),
            }
            figures[title] = {"equal_pixels": equal, **summarize_turns(steps, rounds, title, take)}
    title = f"decode {sizes.pictures} pictures of {sizes.side} px"
    steps = {
        PYTHON: lambda: caller.call(Decode(sizes.pictures, sizes.side))[0],
        NODE: partial(decode_in_server, server, sizes, fresh),
    }
    figures[title] = summarize_turns(steps, rounds, title, take)
    return figures


def server_id(server: LiveServer) -> int:
    assert server.process is not None, "the server runs"
    return server.process.pid


def take_from(processes: list[psutil.Process], step: Callable[[], object]) -> Sample:
    """A sample as long as `step` says; what `processes` took of the machine is not foreign."""

    def own_seconds() -> float:
        times = [process.cpu_times() for process in processes]
        return sum(time.user + time.system for time in times)

    stat, own = read_stat(), own_seconds()
    seconds = step()
    assert isinstance(seconds, float)
    return Sample(seconds, foreign_share(stat, read_stat(), own_seconds() - own))


def summarize_turns(steps: Steps, rounds: int, title: str, take: Callable[..., Sample]) -> dict[str, Any]:
    rows = {name: summarize(samples) for name, samples in take_turns(steps, rounds, title, take=take).items()}
    python_s = rows[PYTHON].get("median_s")
    for name, row in rows.items():
        if name != PYTHON and python_s and "median_s" in row:
            row["overhead_percent"] = round(100 * (row["median_s"] / python_s - 1), 1)
    return {"rows": rows}


def make_prompt(large: str, model: str, batch: int, seed: int) -> Prompt:
    prompt = drawing(CLASS, batch_size=batch, seed=seed)
    if model == LARGE:  # which is told nothing
        prompt[LOAD]["inputs"]["transformer_name"] = large
        del prompt[LABEL], prompt[SAMPLE]["inputs"]["condition"]
    return prompt


def compare(server: LiveServer, caller: Caller, large: str, model: str, batch: int) -> float:
    """The share of equal values in the first picture of both sides; a rounding of 1 in 255 is no difference."""
    run = server.watch(make_prompt(large, model, batch, seed=0))
    _, expected = caller.call(Draw(model, batch, seed=0))
    apart = np.abs(pixels(run.images[SHOW][0]).astype(int) - expected.astype(int))
    share = float((apart <= 1).mean())
    print(f"{model}, {batch} pictures: {share:.1%} of the first picture is as drawn in Python", flush=True)
    return share


def draw_in_server(
    server: LiveServer, large: str, model: str, batch: int, fresh: count[int], preview_method: str
) -> float:
    prompt = make_prompt(large, model, batch, next(fresh))
    return seconds_of_node(server.watch(prompt, preview_method=preview_method), SAMPLE)


def decode_in_server(server: LiveServer, sizes: Sizes, fresh: count[int]) -> float:
    prompt = reconstruction(sizes.side, sizes.side, batch_size=sizes.pictures)
    prompt["image"]["inputs"]["color"] = next(fresh)
    return seconds_of_node(server.watch(prompt), DECODE)


def seconds_of_node(run: Run, node: str) -> float:
    """From the server's word that `node` runs to its word that the next one does."""
    starts = run.of("executing")
    place = next(number for number, message in enumerate(starts) if message.data["node"] == node)
    return starts[place + 1].at - starts[place].at


def show(figures: Mapping[str, Any], rounds: int) -> None:
    def cells(row: Mapping[str, Any]) -> list[str]:
        seconds = f"{row['median_s']:.3f}" if "median_s" in row else "-"
        overhead = f"{row['overhead_percent']:+.1f}%" if "overhead_percent" in row else "-"
        return [seconds, overhead]

    lines = []
    for title, figure in figures.items():
        rows = figure["rows"]
        previews = cells(rows[PREVIEWS]) if PREVIEWS in rows else ["-", "-"]
        dropped = sum(row["dropped"] for row in rows.values())
        lines.append([title, cells(rows[PYTHON])[0], *cells(rows[NODE]), *previews, dropped])
    header = ["", PYTHON, NODE, "overhead", PREVIEWS, "overhead", "dropped"]
    threads = torch.get_num_threads()
    title = f"Seconds of a node beside the same call in Python: {threads} threads, medians of {rounds} rounds"
    print_table(title, header, lines)
    print(f"  the goal is less than {GOAL:.0f}% of overhead")


if __name__ == "__main__":
    main()
