"""Loading the largest published configuration: seconds, and peak memory beside the bytes of the weights.

The class-conditional ImageNet transformer (1.4 billion parameters) with its first stage and random weights is written
once under runs/loading, as safetensors and as the Lightning checkpoint it was published as, optimizer state included:
24 GB in all, so `dev.py bench` leaves it out; by hand, with PYTHONPATH naming the repository. Each load is a fresh
process. Anonymous memory is what the process owns; pages of the mapped file, which the system may drop at any time,
count only in the largest resident set. The rows of a precision are packed straight from the file, for a CPU; their
ratio is to the same float32 weights. `--quick` takes a small model.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from benchmarks import RUNS
from benchmarks.alone import run_alone
from benchmarks.report import print_table, write_results
from taming.checkpoints import load_transformer
from taming.checkpoints.metadata import METADATA_KEY, PackMetadata, encode_metadata
from taming.checkpoints.upstream_transformer import Net2NetConfig, net2net_config
from taming.checkpoints.yaml_file import read_yaml
from taming.configs import PUBLISHED, find_preset
from taming.models import Precision, Transformer, VQModel

PRESET = "cin_transformer"
SMALL = {"n_layer": 4, "n_head": 8, "n_embd": 512}
LOADS: tuple[Precision | None, ...] = (None, "fp32", "int8")
SAMPLE_EVERY_S = 0.002
ALLOWED_RATIO = 1.15  # of the weights' bytes, in anonymous memory
MIB = 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small model, one round: to check the script")
    parser.add_argument("--load", type=Path, metavar="FILE", help=argparse.SUPPRESS)  # what the processes are given
    parser.add_argument("--precision", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.load is not None:
        print(json.dumps(measure(options.load, options.precision)))
        return
    figures = {
        file.suffix + (f" {precision}" if precision else ""): run_processes(file, precision, 1 if options.quick else 3)
        for file in write_files(options.quick)
        for precision in LOADS
    }
    header = ["", "file, MiB", "weights, MiB", "anonymous peak, MiB", "/ weights", "largest resident, MiB", "seconds"]
    print_table(
        f"load_transformer, {PRESET}{' (small)' * options.quick}", header, [table_row(*i) for i in figures.items()]
    )
    write_results("loading.json", options.quick, {"allowed_ratio": ALLOWED_RATIO, "loads": figures})
    if any(figure["ratio"] > ALLOWED_RATIO for figure in figures.values()) and not options.quick:
        raise SystemExit(f"anonymous memory is beyond {ALLOWED_RATIO} times the weights")


def table_row(suffix: str, figure: dict[str, Any]) -> list[object]:
    sizes = [f"{figure[key] / MIB:,.0f}" for key in ("file_bytes", "weights_bytes", "anonymous_peak_bytes")]
    resident = f"{figure['largest_resident_bytes'] / MIB:,.0f}"
    return [suffix, *sizes, f"{figure['ratio']:.3f}", resident, " ".join(f"{s:.1f}" for s in figure["seconds"])]


def run_processes(file: Path, precision: Precision | None, rounds: int) -> dict[str, Any]:
    """Load `file` in a fresh process, `rounds` times: the worst memory and all seconds."""
    arguments = ["--load", file, *(["--precision", precision] if precision else [])]
    done = [run_alone("check_loading", *arguments) for _ in range(rounds)]
    worst = max(done, key=lambda figure: figure["anonymous_peak_bytes"])
    seconds = [figure.pop("seconds") for figure in done]
    return {"file_bytes": file.stat().st_size, **worst, "seconds": seconds}


def measure(file: Path, precision: Precision | None) -> dict[str, Any]:
    """Load `file` in this process and say what it took, beyond what the process had before."""
    before = anonymous_bytes()
    peak, done = [before], threading.Event()

    def watch() -> None:
        while not done.wait(SAMPLE_EVERY_S):
            peak[0] = max(peak[0], anonymous_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    transformer, vqgan = load_transformer(file, precision=precision)
    seconds = time.perf_counter() - start
    done.set()
    watcher.join()
    used = max(peak[0], anonymous_bytes()) - before
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert vqgan is not None
    weights = [tensor for model in (transformer, vqgan) for tensor in model.state_dict().values()]
    weights_bytes = sum(tensor.nbytes for tensor in weights)
    return {
        "weights_bytes": weights_bytes,
        "anonymous_peak_bytes": used,
        "ratio": round(used / weights_bytes, 4),
        "largest_resident_bytes": resident,
        "seconds": round(seconds, 3),
    }


def anonymous_bytes() -> int:
    """Memory of this process that no file backs (Linux)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon"))


def write_files(quick: bool) -> list[Path]:
    """The two files and the YAML beside them; those that are there from an earlier run are kept."""
    folder = RUNS / ("loading-quick" if quick else "loading")
    folder.mkdir(parents=True, exist_ok=True)
    values = read_yaml(find_preset(PRESET, PUBLISHED))
    if quick:
        values["model"]["params"]["transformer_config"]["params"] |= SMALL
    config = net2net_config(values, PRESET)
    files = [folder / f"{PRESET}.safetensors", folder / "last.ckpt"]
    files[1].with_suffix(".yaml").write_text(json.dumps(values), encoding="utf-8")  # JSON is YAML
    needed = 4 * sum(4 * math.prod(shape) for _, shape in named_shapes(config))
    if not all(file.is_file() for file in files) and shutil.disk_usage(folder).free < 1.1 * needed:
        raise SystemExit(f"{folder} has no room for {needed / 2**30:.0f} GiB: make some, or use --quick.")
    for file, write in zip(files, (write_safetensors, write_lightning), strict=True):
        if not file.is_file():
            unfinished = file.with_suffix(".part")
            write(unfinished, config, files[0])
            os.replace(unfinished, file)
    return files


def named_shapes(config: Net2NetConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Every weight of the transformer and of its first stage, by its published key."""
    with torch.device("meta"):
        models = {"transformer": Transformer(config.transformer), "first_stage_model": VQModel(config.first_stage)}
    for prefix, model in models.items():
        yield from ((f"{prefix}.{key}", tuple(tensor.shape)) for key, tensor in model.state_dict().items())


def write_safetensors(file: Path, config: Net2NetConfig, _: Path) -> None:
    """Random weights tensor by tensor: the library's own writer would hold them all."""
    metadata = PackMetadata("transformer", config.transformer, config.first_stage)
    header: dict[str, Any] = {"__metadata__": {METADATA_KEY: encode_metadata(metadata)}}
    end = 0
    for key, shape in named_shapes(config):
        start, end = end, end + 4 * math.prod(shape)
        header[key] = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    generator = torch.Generator().manual_seed(0)
    with file.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for _, shape in named_shapes(config):
            stream.write((0.02 * torch.randn(shape, generator=generator)).numpy().tobytes())


def write_lightning(file: Path, config: Net2NetConfig, weights_file: Path) -> None:
    """The same weights as pytorch-lightning 1.0 saves them: with masks, and with Adam's two moments of each."""
    with safe_open(weights_file, framework="pt") as stored:
        weights = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118 - not a dict
    size = config.transformer.block_size
    masks = {
        f"transformer.blocks.{i}.attn.mask": torch.ones(1, 1, size, size).tril()
        for i in range(config.transformer.n_layer)
    }
    trained = [tensor for key, tensor in weights.items() if key.startswith("transformer.")]
    moments = {i: {"step": 1, "exp_avg": zeros(t), "exp_avg_sq": zeros(t)} for i, t in enumerate(trained)}
    optimizer = {"state": moments, "param_groups": [{"lr": 4.5e-6, "params": list(moments)}]}
    content = {"epoch": 1, "global_step": 1, "pytorch-lightning_version": "1.0.8", "optimizer_states": [optimizer]}
    torch.save({**content, "lr_schedulers": [], "state_dict": weights | masks}, file)


def zeros(like: Tensor) -> Tensor:
    """Zeros that take no memory until they are touched, and are written out in full."""
    return torch.from_numpy(np.zeros(tuple(like.shape), np.float32))


if __name__ == "__main__":
    main()
