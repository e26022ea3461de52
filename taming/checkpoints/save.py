"""Saving a model as one safetensors file that says what it is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from ..errors import CheckpointError, ConfigError
from ..models.transformer import Transformer
from ..models.vqgan import VQModel
from ..text import shorten_error
from .containers import check_path
from .int8_weights import to_int8
from .metadata import METADATA_KEY, FirstStageReference, PackMetadata, codebook_fingerprint, encode_metadata
from .plan_vqgan import plan_vqgan


def save_checkpoint(
    model: VQModel | Transformer,
    path: str | os.PathLike[str],
    *,
    dtype: torch.dtype | None = None,
    first_stage: str | os.PathLike[str] | None = None,
    extra: Mapping[str, str] | None = None,
) -> None:
    """Write `model` with its configuration to the safetensors file `path`, at once or not at all.

    Args:
        dtype: of the stored weights; by default they are stored as they are. int8 rounds rows, see `to_int8`.
        first_stage: a transformer's tokenizer, a saved file in the same folder. Its name and fingerprint are recorded,
            so that it is loaded along and another tokenizer is refused.
        extra: further safetensors metadata, such as a license.

    Raises: ConfigError if `first_stage` or `extra` cannot be recorded; CheckpointError if `first_stage` is unreadable.
    """
    path = Path(path)
    extra = dict(extra or {})
    if METADATA_KEY in extra:
        raise ConfigError(f"'{METADATA_KEY}' in the extra metadata is what this pack writes: choose another name.")
    reference = None if first_stage is None else _reference(model, path, Path(first_stage))
    cond_stage = model.cond_stage if isinstance(model, Transformer) else None
    metadata = PackMetadata(
        "vqgan" if isinstance(model, VQModel) else "transformer",
        model.config,
        reference,
        None if cond_stage is None else cond_stage.config,
    )
    weights = model.state_dict()
    if cond_stage is not None:  # beside others, a model has its published prefix
        weights = {published_key(key): tensor for key, tensor in weights.items()}
    write_checkpoint(weights, metadata, path, dtype, extra)


def published_key(key: str) -> str:
    """The key in a whole checkpoint of what a transformer with a stage for its maps calls `key`."""
    stage, _, rest = key.partition(".")
    return f"cond_stage_model.{rest}" if stage == "cond_stage" else f"transformer.{key}"


def write_checkpoint(
    weights: Mapping[str, Tensor],
    metadata: PackMetadata,
    path: Path,
    dtype: torch.dtype | None = None,
    extra: Mapping[str, str] | None = None,
) -> None:
    """Write `weights` and `metadata` to the safetensors file `path`, at once or not at all."""
    is_int8 = dtype == torch.int8
    ready = {
        key: tensor.detach().to("cpu", dtype if tensor.is_floating_point() and not is_int8 else None).contiguous()
        for key, tensor in weights.items()
    }
    ready = to_int8(ready) if is_int8 else ready
    write_weights(ready, path, {**(extra or {}), METADATA_KEY: encode_metadata(metadata)})


def write_weights(weights: dict[str, Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write contiguous `weights`, on the CPU, to the safetensors file `path`, at once or not at all.

    Raises: CheckpointError if there is no space, or `path` is a folder or not UTF-8.
    """
    check_path(path)
    if path.is_dir():
        raise CheckpointError(f"{path} is a folder. Name a file in it.")
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        unfinished.touch()
        mode = unfinished.stat().st_mode
        save_file(weights, unfinished, metadata=metadata)
        # safetensors puts a file there that only its owner may read. Drives without modes refuse to change any.
        if unfinished.stat().st_mode != mode:
            unfinished.chmod(mode)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be written: {shorten_error(error)}. {_advice(path)}") from error
    else:
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _advice(path: Path) -> str:
    return "Free some space there, or choose another folder." if path.parent.is_dir() else "Make its folder first."


def _reference(model: VQModel | Transformer, path: Path, first_stage: Path) -> FirstStageReference:
    if isinstance(model, VQModel):
        raise ConfigError("A VQGAN has no first stage: give one only with a transformer.")
    if first_stage.resolve().parent != path.resolve().parent:
        raise ConfigError(f"{first_stage.name} must lie beside {path.name}: a first stage is found in the same folder.")
    return FirstStageReference(first_stage.name, codebook_fingerprint(plan_vqgan(first_stage).state_dict))
