"""kill -9 at twenty random instants of a run, resumed each time: the end is that of the run that was left alone.

A check rather than a benchmark, and too long for a test (two minutes on two cores). By hand:
`PYTHONPATH=.:tests .venv/bin/python benchmarks/check_kills.py`. POSIX only.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from recipes import write_recipe

KILLS = 20
STEPS = 250
TASKS = ("vqgan", "transformer")


def main() -> int:
    equal = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for task in TASKS:
            recipe = make_recipe(folder, task)
            seconds = run_to_the_end(recipe, folder / f"{task}_whole")
            start_up = run_to_the_end(recipe, folder / f"{task}_whole")  # there is nothing left to do
            kills, resumed = run_with_kills(recipe, folder / f"{task}_killed", start_up, seconds - start_up)
            same = same_weights(folder / f"{task}_whole", folder / f"{task}_killed")
            print(f"{task}: {kills} kills, state then at steps {resumed}: {'equal' if same else 'DIFFERS'}", flush=True)
            shutil.copy(folder / f"{task}_whole" / "model.safetensors", folder / "tokenizer.safetensors")
            equal &= same
    return int(not equal)


def make_recipe(folder: Path, task: str) -> Path:
    """A small recipe that saves after every step; the transformer's tokenizer is what the VQGAN's run left."""
    phases = [{"steps": STEPS, "batch_size": 4}]
    data = {"count": 24, "held_out": 4, "size_px": 32}
    home = folder / task
    home.mkdir()
    if task == "transformer":
        shutil.copy(folder / "tokenizer.safetensors", home)
    return write_recipe(home, task, phases=phases, data=data, save_minutes=0, evaluate_every=100)


def command(recipe: Path, out: Path) -> list[str]:
    return [sys.executable, "-m", "taming", "train", str(recipe), "--out", str(out), "--workers", "1"]


def run_to_the_end(recipe: Path, out: Path) -> float:
    start = time.monotonic()
    subprocess.run(command(recipe, out), check=True, capture_output=True)
    return time.monotonic() - start


def run_with_kills(recipe: Path, out: Path, start_up: float, seconds: float) -> tuple[int, list[int]]:
    """Kill the run `KILLS` times, then let it end; returns how often it was killed and where it was by then."""
    rng, kills, steps = random.Random(0), 0, []
    while kills < KILLS:
        process = subprocess.Popen(command(recipe, out), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            process.wait(timeout=0.8 * start_up + rng.uniform(0.0, 2.0) * seconds / KILLS)
            break  # it came to its end
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
            state = out / "state.pt"
            steps.append(torch.load(state, weights_only=True)["step"] if state.exists() else 0)
    run_to_the_end(recipe, out)
    return kills, steps


def same_weights(one: Path, other: Path) -> bool:
    states = [torch.load(folder / "state.pt", weights_only=True) for folder in (one, other)]
    modules = [state["modules"] for state in states]
    return all(
        torch.equal(modules[0][name][key], modules[1][name][key]) for name in modules[0] for key in modules[0][name]
    )


if __name__ == "__main__":
    sys.exit(main())
