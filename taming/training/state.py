"""The whole state of a run in one file, written so that a kill at any instant leaves a good one."""

from __future__ import annotations

import logging
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ..configs import config_from_dict
from ..errors import ConfigError
from .recipe import Recipe

log = logging.getLogger(__name__)

# Settings of a recipe that may change while a run goes on: they leave its weights alone.
MAY_CHANGE = frozenset({"save_minutes", "evaluate_every", "export_dtype", "checkpointing"})


def save_state(state: dict[str, Any], recipe: Recipe, path: Path) -> None:
    """Write `state`, with the recipe that it belongs to, beside `path`, then put it in place at once.

    Raises: OSError if the disk is full; what was at `path` is still there then.
    """
    partial = path.with_suffix(".partial")
    try:
        with partial.open("wb") as file:
            torch.save({**state, "recipe": asdict(recipe)}, file)
            file.flush()
            os.fsync(file.fileno())  # or a power cut could leave an empty file under the final name
        os.replace(partial, path)
    except (OSError, RuntimeError) as error:
        # Of a full disk torch says only at which byte it stopped.
        cause = error if isinstance(error, OSError) else error.__context__
        if not isinstance(cause, OSError):
            raise
        raise OSError(
            f"The state cannot be saved in {path.parent}: {cause}. Free some space there and run it again; the state "
            "before it is kept."
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def load_state(recipe: Recipe, path: Path) -> dict[str, Any] | None:
    """The state at `path`, on the CPU; None where there is none.

    Raises: ConfigError if it belongs to a run of another recipe.
    """
    if not path.exists():
        return None
    state = torch.load(path, map_location="cpu", weights_only=True)
    settings = asdict(recipe)
    began = config_from_dict(Recipe, state["recipe"], path.name)  # older versions stored fewer settings
    for name, started_with in asdict(began).items():
        if name not in MAY_CHANGE and settings[name] != started_with:
            raise ConfigError(
                f"{path.parent} holds a run of another recipe: its {name} is {started_with}, now {settings[name]}. "
                "Give the run a new folder, or the old value back."
            )
    log.info("Continuing from step %d.", state["step"])
    return state
