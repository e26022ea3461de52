"""Short runs: the task of a tiny recipe, and what a run leaves."""

from pathlib import Path

import torch

from taming.training.batches import to_pixels
from taming.training.datasets import Data
from taming.training.loop import Task
from taming.training.recipe import Recipe
from taming.training.tasks.transformer import TransformerTask
from taming.training.tasks.vqgan import VQGANTask


def make_task(recipe: Recipe, scenes: Data) -> Task:
    if recipe.task == "transformer":
        cache = Path(recipe.first_stage).parent / "cache"
        return TransformerTask(recipe, scenes, cache, torch.device("cpu"))
    return VQGANTask(recipe, scenes)


def all_pixels(scenes: Data) -> torch.Tensor:
    return to_pixels([scenes.training[i].image for i in range(len(scenes.training))])


def read_state(folder: Path) -> dict:
    return torch.load(folder / "state.pt", weights_only=True)


def differences(a: object, b: object, where: str = "state") -> list[str]:
    """Where two nested states are not bit for bit the same."""
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return [found for key in a for found in differences(a[key], b[key], f"{where}.{key}")]
    if isinstance(a, list | tuple) and isinstance(b, list | tuple) and len(a) == len(b):
        return [found for i in range(len(a)) for found in differences(a[i], b[i], f"{where}[{i}]")]
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return [] if torch.equal(a, b) else [where]
    return [] if type(a) is type(b) and a == b else [where]
