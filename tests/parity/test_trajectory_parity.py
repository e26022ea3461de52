"""Ten training steps against the reference's own models, loss and optimizers, from the same weights, on the same data.

The reference's side is driven as pytorch-lightning 1.0.8 drove it: for each batch every optimizer in turn, each after
a forward pass of its own, with gradients for its own parameters alone. Ours is `train` itself. Tolerance: 1e-4 on
every loss of every step and on every weight at the end, absolute; each tensor of weights moves at least five times as
far.

The VQGANs are trained in float64. In float32 the first rounding difference is one of Adam's steps, which have the same
size for a gradient of 1e-9 as for one of 1, and two runs of the reference itself would part on two kinds of machine.
"""

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from functools import partial
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from devtools.reference import find_reference, reference_imports
from taming.checkpoints import save_checkpoint
from taming.configs import config_from_dict
from taming.data import ArrayDataset, Subset, render_scene
from taming.models import VQModel, VQModelConfig
from taming.training.batches import step_rng
from taming.training.datasets import Data
from taming.training.loop import Batch, Figures, Task, train
from taming.training.recipe import Recipe
from taming.training.tasks.transformer import TransformerTask
from taming.training.tasks.vqgan import VQGANTask

NUM_STEPS, SIZE_PX, TOLERANCE = 10, 64, 1e-4
OPTIMIZER = {"schedule": "constant", "warmup_steps": 0, "clip_norm": 0.0}  # the reference's: one rate, no clipping
VQGAN = {"n_embed": 32, "embed_dim": 8, "z_channels": 16, "ch": 64, "ch_mult": (1, 1), "num_res_blocks": 1}
VQGAN |= {"attn_resolutions": (32,), "resolution": SIZE_PX}
GPT = {"vocab_size": 32, "block_size": 64, "n_layer": 2, "n_head": 2, "n_embd": 48}
PKEEP = 0.8
UNSEEN = (".key.bias", ".k.bias")  # by a softmax over keys: their gradients are rounding alone

Losses = list[dict[str, float]]  # of every step


@pytest.fixture(scope="module")
def scenes() -> Data:
    """Pictures without classes, so that a transformer is unconditional."""
    images = np.stack([render_scene(i % 4, i, SIZE_PX).image for i in range(12)])
    training = ArrayDataset(images)
    return Data(training, Subset(training, range(2)))


class VQGANTaskInDoubles(VQGANTask):
    """The task in float64, which pictures are not; it is only trained."""

    def batch(self, step: int, rng: np.random.Generator) -> Batch:
        return {name: items.double() for name, items in super().batch(step, rng).items()}

    def evaluate(self) -> Figures:
        return {}


class FixedDistance(nn.Module):
    """Stands for LPIPS on both sides: differentiable, without weights, (B, 1, 1, 1) as the reference's."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return (nn.functional.avg_pool2d(a - b, 4).abs() + 0.1).sqrt().mean((1, 2, 3), keepdim=True)


@pytest.fixture(scope="module")
def reference_vqgan() -> Callable[..., Any]:
    """Makes the reference's VQModel with its loss, which would download LPIPS, on `FixedDistance`."""
    folder = find_reference()
    if folder is None:
        pytest.skip("the reference package is not here; `python3 dev.py test` installs it")
    classes: dict[str, Any] = {}
    stubs = {
        "pytorch_lightning": {"LightningModule": nn.Module},
        "taming.main": {"instantiate_from_config": lambda config: classes["loss"](**config)},
        "taming.modules.losses.lpips": {"LPIPS": FixedDistance},
    }
    with reference_imports(folder, stubs):
        classes["loss"] = importlib.import_module("taming.modules.losses.vqperceptual").VQLPIPSWithDiscriminator
        classes["model"] = importlib.import_module("taming.models.vqgan").VQModel

    def make(**loss: Any) -> Any:
        sizes = {name: value for name, value in VQGAN.items() if name not in ("n_embed", "embed_dim")}
        ddconfig = {**sizes, "in_channels": 3, "out_ch": 3, "double_z": False, "dropout": 0.0}
        with redirect_stdout(StringIO()):
            model = classes["model"](ddconfig, {"disc_ndf": 32, **loss}, VQGAN["n_embed"], VQGAN["embed_dim"])
        model.get_input = lambda batch, key: batch[key]  # which is in float64 and must stay so
        return model

    return make


def train_as_lightning(model: Any, batches: list[Any], seeds: list[int], learning_rate: float) -> Losses:
    """What its Trainer did with `model`: the losses that the reference logs and those that it minimizes."""
    model.learning_rate = learning_rate
    optimizers, several = configured(model)
    rows: Losses = []
    model.train()
    for model.global_step, (batch, seed) in enumerate(zip(batches, seeds, strict=True)):
        rows.append(row := {})
        model.log = partial(log, row)
        model.log_dict = partial(log_dict, row)
        torch.manual_seed(seed)
        for number, optimizer in enumerate(optimizers):
            with toggled(model, optimizer):
                loss = model.training_step(batch, model.global_step, *([number] if several else []))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    return rows


def log(row: dict[str, float], name: str, value: Tensor, **_: object) -> None:
    row[name] = value.item()


def log_dict(row: dict[str, float], values: dict[str, Tensor], **_: object) -> None:
    row.update({name: value.item() for name, value in values.items()})


def configured(model: Any) -> tuple[list[torch.optim.Optimizer], bool]:
    """The optimizers, and whether `training_step` is told which of them is meant."""
    made = model.configure_optimizers()
    return (made[0], True) if isinstance(made, tuple) else ([made], False)


@contextmanager
def toggled(model: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """`LightningModule.toggle_optimizer`, and back."""
    own = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    for parameter in model.parameters():
        parameter.requires_grad_(id(parameter) in own)
    yield
    model.requires_grad_(True)


def train_ours(task: Task, recipe: Recipe, out: Path) -> Losses:
    """The figures of `train` and the losses that it minimizes, as `minimized by` its turns."""
    rows: Losses = []
    minimized: dict[str, float] = {}

    def kept(name: str, loss: Callable[[Batch, int], tuple[Tensor, Figures]]) -> Any:
        def keep(batch: Batch, step: int) -> tuple[Tensor, Figures]:
            value, figures = loss(batch, step)
            minimized[f"minimized by {name}"] = value.item()
            return value, figures

        return keep

    assert isinstance(task, VQGANTask | TransformerTask)
    task.turns = [replace(turn, loss=kept(turn.name, turn.loss)) for turn in task.turns]
    train(task, recipe, out, lambda step, figures: rows.append({**figures, **minimized}))
    return rows


def assert_same_losses(ours: Losses, theirs: Losses, names: dict[str, str]) -> None:
    assert len(ours) == len(theirs) == NUM_STEPS
    for own, expected in zip(ours, theirs, strict=True):
        assert {name: own[name] for name in names} == pytest.approx(
            {name: expected[other] for name, other in names.items()}, abs=TOLERANCE, rel=0
        )


def assert_same_weights(ours: dict[str, Tensor], theirs: dict[str, Tensor], before: dict[str, Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        if not name.endswith(UNSEEN):
            assert (value - theirs[name]).abs().max() <= TOLERANCE, name
            assert (value - before[name]).abs().max() > 5 * TOLERANCE, f"{name} has not moved enough to tell"


def copied(module: nn.Module) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in module.state_dict().items()}


@pytest.mark.parametrize("kind", ["hinge", "vanilla"])
def test_a_vqgan_follows_the_references_trajectory(reference_vqgan, scenes, kind, tmp_path):
    torch.manual_seed(3)
    theirs = reference_vqgan(disc_start=0, disc_loss=kind, disc_weight=0.8, perceptual_weight=0.5, codebook_weight=0.7)
    nn.init.normal_(theirs.quantize.embedding.weight, std=0.5)  # so that several codes are chosen from the beginning
    recipe = config_from_dict(
        Recipe,
        {
            "task": "vqgan",
            "init_from": str(tmp_path / "start.safetensors"),  # and so no k-means start
            "model": VQGAN,
            # fmt: off
            "loss": {
                "l1": 1.0,
                "l2": 0.0,
                "codebook": 0.7,
                "adversarial": 0.8,
                "adversarial_kind": kind,
                "peaks": 0.0,
            },
            # fmt: on
            "optimizer": {"lr": 2e-4, "betas": (0.5, 0.9), **OPTIMIZER},
            "phases": [{"steps": NUM_STEPS, "batch_size": 2, "crop_px": 32}],
            "data": {"size_px": SIZE_PX},
        },
        "recipe",
    )
    start = VQModel(config_from_dict(VQModelConfig, VQGAN, "model"))
    start.load_state_dict({key: value for key, value in theirs.state_dict().items() if not key.startswith("loss.")})
    save_checkpoint(start, tmp_path / "start.safetensors")
    task = VQGANTaskInDoubles(recipe, scenes)
    task.settings = replace(task.settings, perceptual=0.5)
    task.perceptual = FixedDistance()  # pyright: ignore[reportAttributeAccessIssue]
    task.discriminator.load_state_dict(theirs.loss.discriminator.state_dict())
    for module in (theirs, task.model, task.discriminator):
        module.double()
    before, judge_before = copied(task.model), copied(task.discriminator)
    batches = [{"image": task.batch(step, step_rng(recipe.seed, step))["pixels"]} for step in range(NUM_STEPS)]

    expected = train_as_lightning(theirs, batches, list(range(NUM_STEPS)), 2e-4)
    rows = train_ours(task, recipe, tmp_path / "run")
    names = {
        "minimized by vqgan": "train/total_loss",
        "minimized by discriminator": "train/disc_loss",
        "realism": "train/g_loss",
        "perceptual": "train/p_loss",
    }
    assert_same_losses(rows, expected, names)
    for own, row in zip(rows, expected, strict=True):
        assert own["l1"] == pytest.approx(row["train/rec_loss"] - 0.5 * row["train/p_loss"], abs=TOLERANCE)
        assert 0.8 * own["weight"] == pytest.approx(row["train/d_weight"], rel=TOLERANCE)
    final = theirs.state_dict()
    assert_same_weights(
        copied(task.model), {key: value for key, value in final.items() if not key.startswith("loss.")}, before
    )
    judge = {key.removeprefix("loss.discriminator."): final[key] for key in final if "discriminator" in key}
    assert_same_weights(copied(task.discriminator), judge, judge_before)


def test_a_transformer_follows_the_references_trajectory(reference, scenes, tmp_path):
    torch.manual_seed(0)
    tokenizer = VQModel(config_from_dict(VQModelConfig, {**VQGAN, "ch_mult": (1, 1, 1, 1)}, "model")).eval()
    save_checkpoint(tokenizer, tmp_path / "tokenizer.safetensors")
    recipe = config_from_dict(
        Recipe,
        {
            "task": "transformer",
            "first_stage": str(tmp_path / "tokenizer.safetensors"),
            "model": {**GPT, "grid": (8, 8)},
            "loss": {"pkeep": PKEEP, "null_rate": 0.0},
            "optimizer": {"lr": 1e-3, "betas": (0.9, 0.95), "weight_decay": 0.01, **OPTIMIZER},
            "phases": [{"steps": NUM_STEPS, "batch_size": 4}],
            "data": {"size_px": SIZE_PX},
        },
        "recipe",
    )
    task = TransformerTask(recipe, scenes, tmp_path / "cache", torch.device("cpu"))
    theirs = make_net2net(reference)
    task.model.load_state_dict(without_masks(theirs.transformer))
    before = copied(task.model)
    batches, seeds = [], []
    for step in range(NUM_STEPS):
        rng = step_rng(recipe.seed, step)
        batch = task.batch(step, rng)
        batches.append({"image": batch["tokens"], "class_label": batch["prefix"]})
        seeds.append(pkeep_seed(task, step_rng(recipe.seed, step)))
        assert len(batch["tokens"].unique()) > 1 and not torch.equal(batch["tokens"], batch["read"])

    expected = train_as_lightning(theirs, batches, seeds, 1e-3)
    rows = train_ours(task, recipe, tmp_path / "run")
    assert_same_losses(rows, expected, {"loss": "train/loss", "minimized by transformer": "train/loss"})
    assert_same_weights(copied(task.model), without_masks(theirs.transformer), before)


def pkeep_seed(task: TransformerTask, rng: np.random.Generator) -> int:
    """What a step's batch seeds the numbers with that say which tokens are kept: drawn after the pictures."""
    assert task.training is not None
    rng.integers(len(task.training.tokens), size=4)
    return int(rng.integers(2**62))


def without_masks(gpt: nn.Module) -> dict[str, Tensor]:
    return {key: value for key, value in gpt.state_dict().items() if not key.endswith("attn.mask")}


def make_net2net(reference: SimpleNamespace) -> Any:
    """The reference's model, whose stages hand on the tokens that a batch already is."""
    net = reference.Net2NetTransformer.__new__(reference.Net2NetTransformer)
    nn.Module.__init__(net)
    net.first_stage_key, net.cond_stage_key, net.pkeep = "image", "class_label", PKEEP
    net.transformer = reference.GPT(**GPT)
    net.encode_to_z = net.encode_to_c = lambda tokens: (tokens, tokens)
    net.get_input = lambda key, batch: batch[key]
    return net
