"""From a recipe to the task that it names."""

from __future__ import annotations

from pathlib import Path

import torch

from .datasets import Data
from .recipe import Recipe
from .tasks.map_vqgan import MapVQGANTask
from .tasks.transformer import TransformerTask
from .tasks.vqgan import VQGANTask


def make_task(recipe: Recipe, data: Data, cache: Path, device: torch.device) -> TransformerTask | VQGANTask:
    """What `train` trains. A transformer's pictures become tokens here, on `device`, unless folder `cache` has them.

    Raises: TamingError if the recipe does not fit the data or the models that it names.
    """
    if recipe.task == "transformer":
        return TransformerTask(recipe, data, cache, device)
    return MapVQGANTask(recipe, data) if recipe.task == "map_vqgan" else VQGANTask(recipe, data)
