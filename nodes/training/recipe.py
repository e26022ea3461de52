"""The node that chooses what a training run does."""

from __future__ import annotations

import os
from dataclasses import replace

from comfy_api.latest import io

from ...taming.configs import preset_names
from ...taming.training.length import with_num_steps
from ...taming.training.recipe import Recipe, read_recipe
from .. import host
from ..errors import blaming
from ..types import RecipeSocket

DEFAULT_PRESET = "pictures_vqgan_small"
FOR_OWN_PICTURES = "pictures_"  # how the presets begin that are not the recipe of an embedded model
MAY_STAY_OPEN = ("data.folder", "first_stage")  # connected pictures and the connected VQGAN take their places
MAX_NUMBER = 2**31 - 1


class TamingRecipe(io.ComfyNode):
    """A preset, with changes, to a training recipe."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TamingRecipe",
            display_name="Training Recipe (Taming)",
            category="Taming/training",
            description="What to train, on which pictures and for how long: a preset and what you change of it.",
            search_aliases=["train", "training settings", "training config", "lora", "fine-tune", "dataset", "taming"],
            inputs=[
                io.Combo.Input(
                    "preset",
                    options=preset_options(),
                    default=DEFAULT_PRESET,
                    tooltip="What to train: a vqgan preset for Train VQGAN, any other for Train Token Transformer. "
                    "_small ones train on any machine. Your own YAML files in models/taming_recipes come first; press "
                    "R after adding some. Presets that do not begin with pictures_ made the embedded models.",
                ),
                io.String.Input(
                    "folder",
                    default="",
                    placeholder="my_pictures",
                    tooltip="Folder of pictures, with those in it: an absolute path, or a folder in ComfyUI's input "
                    "folder. Class presets take the names of the folders in it as classes. Empty takes what the "
                    "preset says, or pictures connected to the training node. Lists and shards go into overrides, as "
                    "data.folder=list.txt.",
                ),
                *_number_inputs(),
                io.String.Input(
                    "overrides",
                    default="",
                    multiline=True,
                    placeholder="model.n_embed=512",
                    tooltip="Other values of the recipe, one key=value a line, as on the command line: seed=1, "
                    "data.flip=false, precision=bfloat16. An input above that is not 0 or empty wins.",
                    advanced=True,
                ),
            ],
            outputs=[RecipeSocket.Output("recipe", display_name="RECIPE", tooltip="For the training nodes.")],
        )

    @classmethod
    def execute(
        cls, preset: str, folder: str, steps: int, batch_size: int, learning_rate: float, size_px: int, overrides: str
    ) -> io.NodeOutput:
        recipe = read_open_recipe(preset, overrides)
        if folder.strip():
            with blaming("folder"):
                recipe = replace(recipe, data=replace(recipe.data, folder=str(host.input_folder(folder))))
        with blaming("size_px"):
            recipe = replace(recipe, data=replace(recipe.data, size_px=size_px or recipe.data.size_px))
        if batch_size:
            recipe = replace(recipe, phases=tuple(replace(phase, batch_size=batch_size) for phase in recipe.phases))
        if learning_rate:
            final_lr = recipe.optimizer.final_lr * learning_rate / recipe.optimizer.lr
            recipe = replace(recipe, optimizer=replace(recipe.optimizer, lr=learning_rate, final_lr=final_lr))
        return io.NodeOutput(with_num_steps(recipe, steps) if steps else recipe)

    @classmethod
    def fingerprint_inputs(
        cls,
        preset: str | None,
        folder: str | None,
        steps: int | None,
        batch_size: int | None,
        learning_rate: float | None,
        size_px: int | None,
        overrides: str | None,
    ) -> list[tuple[str, int, int]]:
        return [] if preset is None else [host.file_state(host.recipe_path(preset))]


def preset_options() -> list[str]:
    """The presets to choose from: the user's own, then those for pictures of one's own, then the embedded models'."""
    ours = preset_names()
    return sorted(host.recipe_names(), key=lambda name: (name in ours, not name.startswith(FOR_OWN_PICTURES)))


def _number_inputs() -> list[io.Input]:
    return [
        io.Int.Input(
            "steps",
            default=0,
            min=0,
            max=MAX_NUMBER,
            step=100,
            tooltip="Length of the run. 0 takes the preset's: 6000 for pictures_vqgan_small, 3000 for the other _small "
            "ones, 50000 for pictures_vqgan, 30000 for the others. Another scales the whole run: its phases keep their "
            "shares, and what begins in a step begins in proportion.",
        ),
        io.Int.Input(
            "batch_size",
            default=0,
            min=0,
            max=4096,
            step=1,
            tooltip="Pictures in a step, in every phase. 0 takes the preset's: 8 and later 4 for pictures_vqgan_small, "
            "16 for the other _small ones, 8 for pictures_vqgan, 32 for the others. More learns more smoothly and "
            "takes more memory and time; when memory runs out, a step is cut into parts by itself.",
        ),
        io.Float.Input(
            "learning_rate",
            default=0.0,
            min=0.0,
            max=1.0,
            step=0.00001,
            round=False,
            tooltip="How far a step goes, at most. 0 takes the preset's: 0.00025 for pictures_vqgan_small, 0.0012 for "
            "the other _small ones, 0.0002 for pictures_vqgan, 0.0005 for the others. Halve it when a run diverges.",
            advanced=True,
        ),
        io.Int.Input(
            "size_px",
            default=0,
            min=0,
            max=4096,
            step=8,
            tooltip="Side of the pictures in pixels: their shorter side is scaled to it and a square is taken; a "
            "multiple of the token size, which is 8 for _small and 16 for the others. 0 takes the preset's: 128 for "
            "_small, 256 for the others. Twice the side takes four times the time and memory.",
        ),
    ]


def read_open_recipe(preset: str, overrides: str) -> Recipe:
    """The recipe of a preset with `overrides`, one a line; what it leaves open is OPEN.

    Raises: TamingError, naming the input to blame.
    """
    with blaming("preset"):
        path = str(host.recipe_path(preset))
        recipe = read_recipe(path, (), MAY_STAY_OPEN, preset)
    with blaming("overrides"):
        lines = override_lines(overrides)
        return read_recipe(path, lines, MAY_STAY_OPEN, preset) if lines else recipe


def override_lines(overrides: str) -> list[str]:
    """The lines of `overrides` that are not empty and no comments (#).

    Blanks at the end of a line cannot be seen: they only stay where a file or folder has them in its name.
    """
    lines = [line.lstrip() for line in overrides.replace("\r\n", "\n").split("\n")]
    lines = [line if os.path.exists(os.path.expanduser(line.partition("=")[2])) else line.rstrip() for line in lines]
    return [line for line in lines if line and not line.startswith("#")]
