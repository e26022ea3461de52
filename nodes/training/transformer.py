"""The node that trains transformers."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from comfy_api.latest import io
from torch import Tensor

from ...taming.checkpoints import plan_transformer
from ...taming.conditioning import ClassCondition, CoordinateCondition, Unconditional
from ...taming.configs import config_from_dict
from ...taming.errors import ConfigError
from ...taming.models import TransformerConfig
from ...taming.training.datasets import Data
from ...taming.training.loop import MODEL_FILE, Task
from ...taming.training.recipe import Recipe
from ...taming.training.tasks.transformer import TransformerTask
from .. import host
from ..codec import check_pictures
from ..errors import blaming
from ..handles import transformer_handle
from ..memory_estimates import train_transformer_bytes
from ..types import LossMapSocket, RecipeSocket, TransformerHandle, TransformerSocket, VQGANHandle, VQGANSocket
from .copies import FIRST_STAGE, INIT_FROM, begun_folder, copy_into_run
from .data import check_pictures_named, open_pictures, read_contexts
from .losses import loss_map
from .run import RUN_TOOLTIP, micro_batches, run_state, train_in
from .sheets import SampleSheet, ToldSheet

DRAWN_FROM_NOTHING = (Unconditional, ClassCondition, CoordinateCondition)
KINDS_OF_EACH_CELL = ("segmentation", "depth", "coordinates")  # as many tokens as the grid


class TamingTrainTransformer(io.ComfyNode):
    """Pictures and their VQGAN to a transformer."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TamingTrainTransformer",
            display_name="Train Token Transformer",
            category="Taming/training",
            description="Trains a transformer to draw pictures as the tokens of a VQGAN: by class or by words, where "
            "they are given. Cancel keeps the work, and running it again continues.",
            search_aliases=[
                "train transformer",
                "train class model",
                "train text to image",
                "fine-tune transformer",
                "taming",
            ],
            is_input_list=True,
            inputs=[
                RecipeSocket.Input("recipe", tooltip="A recipe for a transformer, from Training Recipe."),
                VQGANSocket.Input(
                    "vqgan",
                    tooltip="The VQGAN whose tokens it learns to draw. The recipe's grid and vocabulary follow it.",
                ),
                io.String.Input("run", default="taming/transformer", tooltip=RUN_TOOLTIP),
                io.Image.Input(
                    "images",
                    optional=True,
                    tooltip="Pictures to train on, a batch or a list of any sizes, in place of the recipe's folder. "
                    "They are held in memory; a folder is not.",
                ),
                io.String.Input(
                    "labels",
                    optional=True,
                    force_input=True,
                    tooltip="The name of the class of each picture in images: a list, or one text with commas between "
                    "them. Without it, connected pictures have no classes; those of a folder have what the recipe "
                    "says.",
                ),
                TransformerSocket.Input(
                    "transformer",
                    optional=True,
                    tooltip="Start from the weights of this transformer, which has to have the recipe's architecture.",
                ),
                io.Conditioning.Input(
                    "conditioning",
                    optional=True,
                    tooltip="What a text encoder made of the captions: one conditioning for each picture in images, as "
                    "a list. The transformer then draws by words, which Text Condition tells it. Not together with "
                    "labels.",
                ),
            ],
            outputs=[
                TransformerSocket.Output("transformer", display_name="TRANSFORMER", tooltip="The trained transformer."),
                LossMapSocket.Output("loss_map", display_name="LOSS_MAP", tooltip="The loss, for Plot Loss Graph."),
            ],
        )

    @classmethod
    def execute(
        cls,
        recipe: list[Recipe],
        vqgan: list[VQGANHandle],
        run: list[str],
        images: list[Tensor] | None = None,
        labels: list[str] | None = None,
        transformer: list[TransformerHandle] | None = None,
        conditioning: list[list] | None = None,
    ) -> io.NodeOutput:
        with blaming("run"):
            out = host.output_folder(run[0])
        check_told(images, labels, conditioning)
        contexts = read_contexts(conditioning) if conditioning else None
        wanted = with_context(check_pictures_named(recipe[0], images), contexts)
        with begun_folder(out):
            wanted = prepare(wanted, out, vqgan[0], transformer[0] if transformer else None)
            train_in(
                out,
                wanted,
                memory_of(wanted),
                partial(open_pictures, wanted, images=images, labels=labels, contexts=contexts),
                partial(make_sheet, vqgan[0]),
            )
        with host.loading():
            plan = replace(plan_transformer(out / MODEL_FILE), first_stage=None)  # it is here already
            handle = transformer_handle(plan, run[0])
        handle = replace(handle, first_stage=vqgan[0], file=out / MODEL_FILE)
        return io.NodeOutput(handle, loss_map(out, run[0]))

    @classmethod
    def fingerprint_inputs(
        cls,
        recipe: list[None] | None = None,  # the host asks even where it is not connected
        vqgan: list[None] | None = None,
        run: list[str] | None = None,
        images: list[None] | None = None,
        labels: list[None] | None = None,
        transformer: list[None] | None = None,
        conditioning: list[None] | None = None,
    ) -> list[tuple[str, int]]:
        return run_state(run)


def check_told(images: list[Tensor] | None, labels: list[str] | None, conditioning: list[list] | None) -> None:
    """Raise ConfigError unless what is told is told of connected pictures, and is one thing."""
    if labels and not images:
        raise ConfigError("labels: they name the classes of images, and none are connected. Connect both.")
    if conditioning and not images:
        raise ConfigError("conditioning: it tells what images show, and none are connected. Connect both.")
    if labels and conditioning:
        raise ConfigError("labels: a transformer is told classes or words, not both. Leave labels or conditioning out.")


def make_sheet(vqgan: VQGANHandle, task: Task, data: Data) -> SampleSheet | ToldSheet:
    """What the node shows of a run."""
    assert isinstance(task, TransformerTask)
    is_from_nothing = isinstance(task.config.condition, DRAWN_FROM_NOTHING) and task.config.context_dim is None
    return SampleSheet(task.model, vqgan) if is_from_nothing else ToldSheet(task, vqgan)


def prepare(recipe: Recipe, out: Path, vqgan: VQGANHandle, transformer: TransformerHandle | None) -> Recipe:
    """The recipe as it is run in folder `out`, with the connected models in their places.

    Raises: TamingError, naming the input to blame.
    """
    if recipe.task != "transformer":
        raise ConfigError("recipe: it trains a VQGAN. Choose another preset, or connect it to Train VQGAN.")
    with blaming("vqgan"):
        check_pictures(vqgan, vqgan.config.in_channels)
        recipe = replace(recipe, first_stage=copy_into_run(vqgan, out / FIRST_STAGE))
    with blaming("recipe"):
        recipe = replace(recipe, model=fitting_model(recipe, vqgan))
    if transformer is None:
        return recipe
    with blaming("transformer"):
        return replace(recipe, init_from=copy_into_run(transformer, out / INIT_FROM))


def with_context(recipe: Recipe, contexts: list[np.ndarray] | None) -> Recipe:
    """The recipe with a model that attends to `contexts`, where there are some."""
    return recipe if contexts is None else replace(recipe, model=recipe.model | {"context_dim": contexts[0].shape[1]})


def fitting_model(recipe: Recipe, vqgan: VQGANHandle) -> dict[str, object]:
    """The recipe's model with the grid of its pictures and a vocabulary for the codes of `vqgan`.

    Raises: ConfigError if the pictures cannot be cut into tokens.
    """
    config = config_from_dict(TransformerConfig, recipe.model, "model")
    factor, size_px = vqgan.config.factor, recipe.data.size_px
    per_cell = 2 if recipe.condition.kind in KINDS_OF_EACH_CELL else 1  # tokens read
    if size_px % factor:
        raise ConfigError(f"size_px {size_px} is not a multiple of {factor}, the pixels of a token of the VQGAN.")
    side = size_px // factor
    more_cells = side**2 - config.grid[0] * config.grid[1]
    return recipe.model | {
        "grid": [side, side],
        "block_size": config.block_size + per_cell * more_cells,
        "vocab_size": max(config.vocab_size, vqgan.tokenizer.num_codes),
    }


def memory_of(recipe: Recipe) -> int:
    """Bytes that a run takes."""
    config = config_from_dict(TransformerConfig, recipe.model, "model")
    return train_transformer_bytes(config, max(count for _, count in micro_batches(recipe)))
