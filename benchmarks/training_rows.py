"""One row of bench_training.py, in a process of its own: training steps, their seconds, and how far memory grew."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from devtools.reference import find_reference, reference_imports
from taming.checkpoints import save_checkpoint
from taming.configs import config_from_dict
from taming.data import ArrayDataset
from taming.models import VQModel, VQModelConfig
from taming.training.build import make_task
from taming.training.datasets import Data
from taming.training.distributed import OneProcess
from taming.training.loop import train
from taming.training.recipe import Recipe

REFERENCE = "reference"
CHANGES: dict[str, dict[str, Any]] = {  # of the recipe
    "taming": {},
    "taming, checkpointing": {"checkpointing": True},
    "taming, bfloat16": {"precision": "bfloat16"},
    "taming, checkpointing, bfloat16": {"checkpointing": True, "precision": "bfloat16"},
    "taming, 4 micro-batches": {"accumulate": 4},
    "taming, 4 micro-batches, checkpointing": {"accumulate": 4, "checkpointing": True},
}
SIZES: dict[str, dict[str, dict[str, Any]]] = {
    "full": {
        "vqgan": {"ch": 64, "ch_mult": (1, 1, 2, 4), "num_res_blocks": 2, "size_px": 128, "batch_size": 4},
        "transformer": {"n_layer": 8, "n_head": 8, "n_embd": 512, "batch_size": 8},
    },
    "quick": {
        "vqgan": {"ch": 32, "ch_mult": (1, 1, 1, 1), "num_res_blocks": 1, "size_px": 64, "batch_size": 4},
        "transformer": {"n_layer": 2, "n_head": 2, "n_embd": 64, "batch_size": 4},
    },
}
NUM_CODES, EMBED_DIM, NUM_TOKENS, TOKENIZED_PX = 1024, 64, 256, 128
AfterStep = Callable[[], None]


def main() -> None:
    """Print the figures of the row as the last line, in JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=["vqgan", "transformer"])
    parser.add_argument("row", choices=[REFERENCE, *CHANGES])
    parser.add_argument("size", choices=list(SIZES))
    parser.add_argument("steps", type=int)
    parser.add_argument("device")
    options = parser.parse_args()
    device, size = torch.device(options.device), SIZES[options.size][options.model]
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        run = reference_run if options.row == REFERENCE else our_run
        steps = run(options.model, options.row, size, options.steps + 1, device, Path(folder))
        clock, memory, marks = time.perf_counter, Memory(device), []

        def after_step() -> None:
            if device.type != "cpu":
                torch.accelerator.synchronize()
            marks.append(clock())
            memory.look()

        marks.append(clock())
        steps(after_step)
    seconds = np.diff(marks)[1:].tolist()  # the first step also makes what the optimizers keep
    print(json.dumps({"seconds": seconds, **memory.growth()}))


class Memory:
    """How far this process grew over what it held before its first step."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        if sys.platform == "linux":
            Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        self.before = self.peaks()
        self.most = self.before

    @staticmethod
    def resident_mib() -> float:
        if sys.platform == "linux":
            lines = Path("/proc/self/status").read_text().splitlines()
            return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
        import resource  # not on Windows

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # bytes on macOS

    def peaks(self) -> dict[str, float]:
        counted = {"resident_mib": self.resident_mib()}
        if self.device.type == "cuda":
            counted["allocated_mib"] = torch.cuda.max_memory_allocated() / 2**20
        return counted

    def look(self) -> None:
        self.most = self.peaks()

    def growth(self) -> dict[str, float]:
        return {name: round(self.most[name] - self.before[name], 1) for name in self.before}


Steps = Callable[[AfterStep], None]


def our_run(model: str, row: str, size: dict[str, Any], num_steps: int, device: torch.device, folder: Path) -> Steps:
    """Steps of `taming.training`, by `train` itself: drawing the batches is in its time."""
    recipe = config_from_dict(Recipe, {**base_recipe(model, size, num_steps, folder), **CHANGES[row]}, "recipe")
    task = make_task(recipe, noise(recipe.data.size_px), folder / "cache", device)
    for module in task.modules.values():
        module.to(device)

    def steps(after_step: AfterStep) -> None:
        processes = OneProcess(device)
        train(task, recipe, folder / "run", lambda step, figures: after_step(), processes)

    return steps


def base_recipe(model: str, size: dict[str, Any], num_steps: int, folder: Path) -> dict[str, Any]:
    """The reference's settings; it stops before the evaluation, which comes after what is measured."""
    phases = [{"steps": num_steps, "batch_size": size["batch_size"]}]
    optimizer = {"lr": 1e-5, "schedule": "constant", "betas": (0.5, 0.9), "clip_norm": 0.0}
    recipe = {"task": model, "phases": phases, "optimizer": optimizer, "save_minutes": 1000}
    if model == "vqgan":
        loss = {"l1": 1.0, "l2": 0.0, "adversarial": 0.8}
        start = folder / "start.safetensors"
        save_checkpoint(VQModel(config_from_dict(VQModelConfig, vqgan_shape(size), "model")), start)
        data = {"size_px": size["size_px"]}
        return {**recipe, "model": vqgan_shape(size), "loss": loss, "data": data, "init_from": str(start)}
    tokenizer = folder / "tokenizer.safetensors"
    shape = {"ch": 32, "ch_mult": (1, 1, 1, 1), "num_res_blocks": 1, "size_px": TOKENIZED_PX}
    save_checkpoint(VQModel(config_from_dict(VQModelConfig, vqgan_shape(shape), "model")), tokenizer)
    model_shape = {**gpt_shape(size), "grid": (16, 16)}
    loss, data = {"pkeep": 0.9, "null_rate": 0.0}, {"size_px": TOKENIZED_PX}
    return {**recipe, "model": model_shape, "loss": loss, "data": data, "first_stage": str(tokenizer)}


def vqgan_shape(size: dict[str, Any]) -> dict[str, Any]:
    shape = {name: size[name] for name in ("ch", "ch_mult", "num_res_blocks")}
    attended = size["size_px"] // 2 ** (len(size["ch_mult"]) - 1)
    shape |= {"resolution": size["size_px"], "attn_resolutions": (attended,), "z_channels": EMBED_DIM}
    return {**shape, "n_embed": NUM_CODES, "embed_dim": EMBED_DIM}


def gpt_shape(size: dict[str, Any]) -> dict[str, Any]:
    return {**{key: size[key] for key in ("n_layer", "n_head", "n_embd")}, "vocab_size": NUM_CODES, "block_size": 256}


def noise(size_px: int) -> Data:
    pictures = np.random.default_rng(0).integers(256, size=(16, size_px, size_px, 3)).astype(np.uint8)
    dataset = ArrayDataset(pictures)
    return Data(dataset, dataset)


class NoDistance(nn.Module):
    """In place of LPIPS, which the reference would download; its weight is 0 on both sides."""


def reference_run(
    model: str, row: str, size: dict[str, Any], num_steps: int, device: torch.device, folder: Path
) -> Steps:
    """Steps of the reference's own model, loss and optimizers, in the order that Lightning took them."""
    made = (reference_vqgan if model == "vqgan" else reference_transformer)(size)
    made.to(device).train()
    made.learning_rate = 1e-5
    made.log = made.log_dict = lambda *_, **__: None
    configured = made.configure_optimizers()
    optimizers = configured[0] if isinstance(configured, tuple) else [configured]
    batch = reference_batch(model, size, device)

    def steps(after_step: AfterStep) -> None:
        for made.global_step in range(num_steps):
            for number, optimizer in enumerate(optimizers):
                with toggled(made, optimizer):
                    loss = made.training_step(batch, 0, *([number] if len(optimizers) > 1 else []))
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
            after_step()

    return steps


def reference_batch(model: str, size: dict[str, Any], device: torch.device) -> dict[str, Tensor]:
    count = size["batch_size"]
    if model == "vqgan":
        return {"image": torch.rand(count, size["size_px"], size["size_px"], 3, device=device) * 2 - 1}
    tokens = torch.randint(NUM_CODES, (count, NUM_TOKENS), device=device)
    return {"image": tokens, "class_label": tokens[:, :1]}


@contextmanager
def toggled(model: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Lightning's `toggle_optimizer`: gradients for what this optimizer moves alone."""
    own = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    for parameter in model.parameters():
        parameter.requires_grad_(id(parameter) in own)
    yield
    model.requires_grad_(True)


def reference_classes(*names: tuple[str, str]) -> list[Any]:
    folder = find_reference()
    if folder is None:
        raise SystemExit("the reference is not in .reference/ (`python3 dev.py bench` puts it there)")
    found: list[Any] = []
    stubs: dict[str, dict[str, Any]] = {
        "pytorch_lightning": {"LightningModule": nn.Module},
        "transformers": {"top_k_top_p_filtering": None},
        "taming.main": {"instantiate_from_config": lambda config: found[0](**config)},
        "taming.modules.losses.lpips": {"LPIPS": NoDistance},
    }
    with reference_imports(folder, stubs):
        found += [getattr(importlib.import_module(module), name) for module, name in names]
    return found


def reference_vqgan(size: dict[str, Any]) -> Any:
    _, model = reference_classes(
        ("taming.modules.losses.vqperceptual", "VQLPIPSWithDiscriminator"), ("taming.models.vqgan", "VQModel")
    )
    shape = vqgan_shape(size)
    codes, dim = shape.pop("n_embed"), shape.pop("embed_dim")
    loss = {"disc_start": 0, "disc_weight": 0.8, "disc_ndf": 32, "perceptual_weight": 0.0}
    with redirect_stdout(StringIO()):
        return model({**shape, "in_channels": 3, "out_ch": 3, "double_z": False, "dropout": 0.0}, loss, codes, dim)


def reference_transformer(size: dict[str, Any]) -> Any:
    """Its stages hand on the tokens that a batch already is, as ours are cached."""
    gpt, net = reference_classes(
        ("taming.modules.transformer.mingpt", "GPT"), ("taming.models.cond_transformer", "Net2NetTransformer")
    )
    made = net.__new__(net)
    nn.Module.__init__(made)
    made.first_stage_key, made.cond_stage_key, made.pkeep = "image", "class_label", 0.9
    made.transformer = gpt(**gpt_shape(size))
    made.encode_to_z = made.encode_to_c = lambda tokens: (tokens, tokens)
    made.get_input = lambda key, batch: batch[key]
    return made


if __name__ == "__main__":
    main()
