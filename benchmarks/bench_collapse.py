"""How much of a codebook is in use after the same training, started and trained as the reference does and as we do.

`python3 dev.py bench` runs it; by hand, PYTHONPATH must name the repository. A small VQGAN with 1,024 codes learns
64 px crops of procedural scenes: same model, optimizer, pictures and steps in every row. The codes that held-out
scenes use are counted. The first row is the reference's quantizer, with its random start and its loss; it trains as
the reference does, step by step (tests/parity/test_trajectory_parity.py). `--quick` only checks that the script works.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks import RUNS
from benchmarks.report import print_table, write_results
from taming.checkpoints import save_checkpoint
from taming.configs import config_from_dict
from taming.models import VQModel, VQModelConfig
from taming.training.datasets import Data, open_data
from taming.training.loop import train
from taming.training.recipe import DataSettings, Optimizer, Phase, Recipe
from taming.training.tasks.vqgan import VQGANTask

NUM_CODES = 1024
MODEL: dict[str, Any] = {"n_embed": NUM_CODES, "embed_dim": 64, "z_channels": 64, "ch": 32, "ch_mult": (1, 1, 1, 1)}
MODEL |= {"num_res_blocks": 1, "attn_resolutions": (16,), "resolution": 128}
LOSS = {"l1": 1.0, "l2": 0.0}  # the reference's, without what needs a second network


@dataclass(frozen=True)
class Row:
    """What a row changes of the recipe."""

    quantizer: str
    loss: dict[str, Any]
    from_file: bool = False  # the first weights from a file, and with them the random codes: no k-means start


ROWS = {
    "plain, as the reference": Row("vq", {}, from_file=True),
    "k-means start, dead codes restart": Row("vq", {"quantize_from": 200, "restart_below": 0.05}),
    "the presets': k-means start, EMA": Row("ema", {"quantize_from": 200}),
}


def main() -> None:
    options = parse_arguments()
    recipe = base_recipe(options)
    data = open_data(recipe.data, RUNS, options.workers)
    figures: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        start = Path(folder) / "start.safetensors"
        torch.manual_seed(recipe.seed)  # as the task does: the other rows start at the same weights
        save_checkpoint(VQModel(config_from_dict(VQModelConfig, MODEL, "model")), start)
        for name, row in ROWS.items():
            figures[name] = train_row(recipe, row, data, start, Path(folder) / row.quantizer / str(len(figures)))
            print(name, figures[name], flush=True)
    table = [
        [name, f"{row['usage']:.1%}", f"{row['perplexity']:.0f}", f"{row['psnr']:.1f} dB", f"{row['seconds']:.0f}"]
        for name, row in figures.items()
    ]
    title = f"{NUM_CODES} codes after {options.steps} steps, on {len(data.held_out)} held-out scenes"
    print_table(title, ["", "codes in use", "perplexity", "PSNR", "seconds"], table)
    write_results("collapse.json", options.quick, {"steps": options.steps, "rows": figures})


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few steps: to check the script")
    parser.add_argument("--steps", type=int, metavar="N", help="of training in each row (default 800)")
    parser.add_argument("--workers", type=int, default=2, help="processes that render scenes (default 2)")
    options = parser.parse_args()
    options.steps = options.steps or (4 if options.quick else 800)
    return options


def base_recipe(options: argparse.Namespace) -> Recipe:
    return Recipe(
        task="vqgan",
        optimizer=Optimizer(lr=4e-4, final_lr=2e-5, betas=(0.5, 0.9)),
        phases=(Phase(steps=options.steps, batch_size=4, crop_px=64),),
        model=MODEL,
        loss=LOSS,
        data=DataSettings(count=20 if options.quick else 2000, held_out=4 if options.quick else 200),
        evaluate_every=options.steps,
        save_minutes=1000,
    )


def train_row(recipe: Recipe, row: Row, data: Data, start: Path, out: Path) -> dict[str, float]:
    """Codes in use, and how good the pictures are, after a row's training."""
    quantize_from = min(row.loss.get("quantize_from", 0), recipe.num_steps // 2)
    changed = replace(
        recipe,
        model={**MODEL, "quantizer": row.quantizer},
        loss={**recipe.loss, **row.loss, "quantize_from": quantize_from},
        init_from=str(start) if row.from_file else "",
    )
    started = time.perf_counter()
    figures = train(VQGANTask(changed, data), changed, out)
    return {**figures, "seconds": round(time.perf_counter() - started, 1)}


if __name__ == "__main__":
    main()
