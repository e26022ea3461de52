"""The weights that a training run begins with: copies of connected models, in the run's own folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
from torch import Tensor

from ...taming.checkpoints import load_transformer, read_checkpoint, save_checkpoint
from ...taming.errors import CheckpointError, ConfigError
from ...taming.text import shorten_error
from ...taming.training.loop import MODEL_FILE, STATE_FILE
from ...taming.training.run_folder import run_folder
from .. import host
from ..errors import blaming
from ..types import TransformerHandle, VQGANHandle

FIRST_STAGE, INIT_FROM = "first_stage.safetensors", "init_from.safetensors"
MAP_STAGE = "cond_stage_model."  # keys of the VQGAN of a transformer's maps, in the transformer's file


def save_vqgan(vqgan: VQGANHandle, path: Path) -> None:
    """Write its weights to `path`."""
    with host.placed(vqgan, 0):
        save_checkpoint(vqgan.model, path)


def save_transformer(transformer: TransformerHandle, path: Path, first_stage: Path | None = None) -> None:
    """Write its weights to `path`, as exactly as they are known, with the VQGAN of its maps, where it reads maps.

    `first_stage` is the file of its VQGAN, beside `path`.
    """
    if transformer.file is not None:
        with host.loading():
            model, _ = load_transformer(transformer.file)
            save_checkpoint(model, path, first_stage=first_stage)
        return
    if transformer.precision == "int8":
        raise ConfigError(f"{transformer.name} was loaded in int8, which rounds its weights. Load it in fp32.")
    stage, model = transformer.cond_stage, transformer.model
    with host.placed(transformer, 0, [stage] if stage else []):
        model.cond_stage = stage.model if stage else None  # only here: the host moves each by itself
        try:
            save_checkpoint(model, path, first_stage=first_stage)
        finally:
            model.cond_stage = None


@contextmanager
def begun_folder(out: Path) -> Iterator[None]:
    """Copy models into the folder `out` of a run in here; unless a state comes of it, they go again, and it too.

    Raises: ConfigError, naming the input to blame, if nothing can be written there.
    """
    there = {name for name in (FIRST_STAGE, INIT_FROM) if (out / name).exists()}
    before = host.file_state(out / STATE_FILE)
    with ExitStack() as folders:
        if not _has_begun(out):
            with blaming("run"):
                folders.enter_context(run_folder(out))
        try:
            yield
        finally:
            if host.file_state(out / STATE_FILE) == before:
                for name in {FIRST_STAGE, INIT_FROM} - there:
                    (out / name).unlink(missing_ok=True)


def copy_into_run(handle: VQGANHandle | TransformerHandle, path: Path) -> str:
    """Where in the run's folder the weights of a connected model are; they are put there when the run begins.

    Raises: ConfigError if the run was begun with those of another model, or without.
    """
    if not _has_begun(path.parent):  # a copy that is there was left by a run that did not come to be
        save = save_vqgan if isinstance(handle, VQGANHandle) else save_transformer
        save(handle, path)  # pyright: ignore[reportArgumentType]
    elif not path.exists():
        raise ConfigError(
            f"the run in {path.parent} was begun without a connected model. Give the run a new name to begin with one."
        )
    elif not _is_same(_read_copy(path), handle):
        raise ConfigError(
            f"the run in {path.parent} was begun with another model than the one that is connected. Connect that one, "
            "or give the run a new name."
        )
    return str(path)


def _has_begun(out: Path) -> bool:
    return any((out / name).exists() for name in (STATE_FILE, MODEL_FILE))


def _read_copy(path: Path) -> Mapping[str, Tensor]:
    try:
        return read_checkpoint(path).state_dict
    except CheckpointError as error:
        raise CheckpointError(
            f"the run's own copy {path} of the model that it was begun with cannot be read ({shorten_error(error)}). "
            "Put it back from a backup, or give the run a new name."
        ) from error


def _is_same(stored: Mapping[str, Tensor], handle: VQGANHandle | TransformerHandle) -> bool:
    """Whether the weights are those of `handle`, in the 16 bits that any device may hold them in."""
    with host.placed(handle, 0):
        held = {key.removeprefix("transformer."): weight for key, weight in handle.model.state_dict().items()}
        found = {
            key.removeprefix("transformer."): weight for key, weight in stored.items() if not key.startswith(MAP_STAGE)
        }
        return held.keys() == found.keys() and all(
            torch.equal(weight.cpu().to(torch.bfloat16), found[key].to(torch.bfloat16)) for key, weight in held.items()
        )
