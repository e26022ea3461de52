"""The whole state of a run in one file, written so that a kill at any instant leaves a good one."""

from __future__ import annotations

import os
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ..checkpoints.metadata import METADATA_KEY
from ..checkpoints.read import DAMAGED_PICKLE, read_metadata
from ..errors import CheckpointError
from ..text import shorten
from .recipe import Recipe

STATE_FILE, LOG_FILE, MODEL_FILE = "state.pt", "log.jsonl", "model.safetensors"
# Settings of a recipe that may change while a run goes on: they leave its weights alone.
MAY_CHANGE = frozenset({"save_minutes", "evaluate_every", "export_dtype", "checkpointing"})
# What every state has had since the first version, and of which type it is.
PARTS = {"step": int, "num_micro": int, "watch": dict, "modules": dict, "optimizers": dict, "recipe": dict}


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


def read_state(path: Path, task: str, *, with_weights: bool = True) -> dict[str, Any] | None:
    """The state of a run of `task` at `path`, on the CPU; None where there is none.

    Without weights its tensors stay in the file, unread and unchecked: for a look at the rest, which costs nothing.

    Raises: CheckpointError if it is damaged, or something else than a state.
    """
    if not path.exists():
        return None
    found = _look_at(path, check_all=with_weights)
    if found is None:
        try:
            state = torch.load(os.fspath(path), map_location="cpu", weights_only=True, mmap=not with_weights)
            found = _look_into(state)
        except DAMAGED_PICKLE:  # torch's own words advise to load it with code and all
            state, found = None, "is damaged, or holds something else than the state of a run"
        if found is None:
            return state
    raise CheckpointError(f"The state {path} {found}: the run cannot go on from it. {_advice(path, task)}")


def _look_at(path: Path, check_all: bool) -> str | None:
    """What is wrong with the bytes at `path`; None where they are a whole file of `torch.save`."""
    try:
        if path.is_dir():
            return "is a folder"
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(512)
        if not size:
            return "is empty (0 bytes)"
        if not head.strip(b"\0"):
            return f"holds zeros ({size} bytes), as after a power cut"
        if not head.startswith(b"PK\x03\x04"):
            return f"is something else than the state of a run (first bytes: {head[:8].hex(' ')})"
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip() if check_all else None  # torch does not compare checksums
        return f"is damaged: {shorten(damaged)} in it has another checksum" if damaged else None
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError):
        return f"is cut off or damaged ({size} bytes, without a readable end)"
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _look_into(state: object) -> str | None:
    """What is wrong with the content of a state; None where all that must be there is."""
    if not isinstance(state, dict):
        return f"holds a {type(state).__name__}, not the state of a run"
    wrong = [name for name, kind in PARTS.items() if type(state.get(name)) is not kind]
    if not wrong:
        return None
    return f"holds no state of a run (it lacks {', '.join(wrong)}; found {shorten(list(state)[:4])})"


def _advice(path: Path, task: str) -> str:
    model = path.with_name(MODEL_FILE)
    both = f"it and the {MODEL_FILE} beside it" if os.path.lexists(model) else "it"  # which no run replaces
    advice = f"Rename or delete {both}, and the run begins anew; or give the run a new folder."
    override = start_from(model, task)
    return f"{advice} With {override} it begins with the model that is there." if override else advice


def start_from(model: Path, task: str) -> str:
    """The override with which a run of `task` begins with the weights in the file `model`; empty if it cannot."""
    if METADATA_KEY not in read_metadata(model):  # it is not there, or holds layers that no file describes
        return ""
    name, value = "first_stage" if task == "vqgan_decoder" else "init_from", model.as_posix()
    return f'{name}="{value}"' if " " in value else f"{name}={value}"
