"""The node that trains tokenizers."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from comfy_api.latest import io
from torch import Tensor

from ...taming.checkpoints import plan_vqgan
from ...taming.configs import OPEN, config_from_dict
from ...taming.errors import ConfigError
from ...taming.models import VQModel, VQModelConfig
from ...taming.training.datasets import Data
from ...taming.training.loop import MODEL_FILE, Task
from ...taming.training.recipe import Recipe
from .. import host
from ..errors import blaming
from ..handles import vqgan_handle
from ..memory_estimates import train_vqgan_bytes
from ..types import LossMapSocket, RecipeSocket, VQGANHandle, VQGANSocket
from .copies import FIRST_STAGE, INIT_FROM, begun_folder, copy_into_run
from .data import check_pictures_named, open_pictures
from .losses import loss_map
from .run import RUN_TOOLTIP, micro_batches, run_state, train_in
from .sheets import ReconstructionSheet


class TamingTrainVQGAN(io.ComfyNode):
    """Pictures to a VQGAN."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TamingTrainVQGAN",
            display_name="Train VQGAN",
            category="Taming/training",
            description="Trains a VQGAN on pictures: the tokenizer that a transformer needs first. Cancel keeps the "
            "work, and running it again continues.",
            search_aliases=["train tokenizer", "train vqgan", "train codebook", "fine-tune vqgan", "taming"],
            is_input_list=True,
            inputs=[
                RecipeSocket.Input("recipe", tooltip="A vqgan recipe, from Training Recipe."),
                io.String.Input("run", default="taming/tokenizer", tooltip=RUN_TOOLTIP),
                io.Image.Input(
                    "images",
                    optional=True,
                    tooltip="Pictures to train on, a batch or a list of any sizes, in place of the recipe's folder. "
                    "They are held in memory; a folder is not.",
                ),
                VQGANSocket.Input(
                    "vqgan",
                    optional=True,
                    tooltip="Start from the weights of this VQGAN, which has to have the recipe's architecture. A "
                    "recipe for a decoder alone trains that of this one.",
                ),
            ],
            outputs=[
                VQGANSocket.Output("vqgan", display_name="VQGAN", tooltip="The trained VQGAN."),
                LossMapSocket.Output("loss_map", display_name="LOSS_MAP", tooltip="The loss, for Plot Loss Graph."),
            ],
        )

    @classmethod
    def execute(
        cls,
        recipe: list[Recipe],
        run: list[str],
        images: list[Tensor] | None = None,
        vqgan: list[VQGANHandle] | None = None,
    ) -> io.NodeOutput:
        with blaming("run"):
            out = host.output_folder(run[0])
        with begun_folder(out):
            wanted = prepare(check_pictures_named(recipe[0], images), out, vqgan[0] if vqgan else None)
            train_in(
                out,
                wanted,
                memory_of(wanted, vqgan[0].config if vqgan else None),
                partial(open_pictures, wanted, images=images),
                partial(make_sheet, wanted),
            )
        with host.loading():
            return io.NodeOutput(vqgan_handle(plan_vqgan(out / MODEL_FILE), run[0]), loss_map(out, run[0]))

    @classmethod
    def fingerprint_inputs(
        cls,
        recipe: list[None] | None = None,  # the host asks even where it is not connected
        run: list[str] | None = None,
        images: list[None] | None = None,
        vqgan: list[None] | None = None,
    ) -> list[tuple[str, int]]:
        return run_state(run)


def make_sheet(recipe: Recipe, task: Task, data: Data) -> ReconstructionSheet | None:
    """What the node shows of a run; nothing of one on maps."""
    assert isinstance(task.model, VQModel)
    return None if recipe.task == "map_vqgan" else ReconstructionSheet(task.model, recipe, data)


def prepare(recipe: Recipe, out: Path, vqgan: VQGANHandle | None) -> Recipe:
    """The recipe as it is run in folder `out`, with the connected VQGAN in its place.

    Raises: ConfigError, naming the input to blame.
    """
    if recipe.task == "transformer":
        raise ConfigError(
            "recipe: it trains a transformer. Choose a vqgan preset, or connect it to Train Token Transformer."
        )
    if vqgan is not None:
        with blaming("vqgan"):
            if recipe.task == "vqgan_decoder":
                return replace(recipe, first_stage=copy_into_run(vqgan, out / FIRST_STAGE))
            return replace(recipe, init_from=copy_into_run(vqgan, out / INIT_FROM))
    if recipe.first_stage == OPEN:
        raise ConfigError("vqgan: this recipe trains the decoder of a VQGAN. Connect one.")
    return recipe


def memory_of(recipe: Recipe, given: VQModelConfig | None) -> int:
    """Bytes that a run takes; `given` is the architecture of a connected VQGAN."""
    with blaming("recipe"):
        config = config_from_dict(VQModelConfig, recipe.model, "model") if recipe.model else given
    pixels = (count * (phase.crop_px or recipe.data.size_px) ** 2 for phase, count in micro_batches(recipe))
    return 0 if config is None else train_vqgan_bytes(config, max(pixels))
