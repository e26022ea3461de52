"""Reading a weights file of any origin into a flat state dict, without running anything that is in it."""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..errors import CheckpointError
from ..text import shorten, shorten_error
from .advice import convert_command
from .containers import Container, identify_container
from .embedded import weights_file
from .int8_weights import from_int8
from .legacy import is_legacy, load_legacy
from .nested import ANCHOR_ENDINGS, RESAVE, find_weights, without_module_wrappers
from .pickle_scan import explain_damage, explain_refusal, find_foreign_globals, is_training_state, read_pickles
from .stub_unpickler import load_inert

TORCH_PROTOCOL = b"\x80\x02"  # how the pickles begin that its restricted unpickler knows
# What a hostile or damaged pickle can make torch's restricted unpickler raise (it is a stack machine).
DAMAGED_PICKLE = (
    pickle.UnpicklingError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True)
class FileState:
    """Which file, and what tells whether it was replaced."""

    path: Path  # absolute
    modified_ns: int
    num_bytes: int

    @classmethod
    def of(cls, path: Path) -> FileState:
        status = path.stat()
        return cls(path.absolute(), status.st_mtime_ns, status.st_size)


@dataclass(frozen=True)
class Checkpoint:
    """The weights of one file, and what the file says about them."""

    path: Path
    state_dict: dict[str, Tensor]  # memory-mapped where the format allows: do not modify in place
    metadata: dict[str, str]  # safetensors metadata; empty for other formats
    state: FileState | None = None  # before it was read; None for weights that are from no file


def read_checkpoint(path: str | os.PathLike[str], *, stub_all: bool = False) -> Checkpoint:
    """Read the weights file at `path`: safetensors, or what `torch.save` writes, told apart by content.

    Wrappers of training programs are removed and only tensors are kept; optimizer state stays on disk. What a
    training program left beside the weights becomes an inert stub, by name and without being imported. A file that
    names anything else is refused unless `stub_all` asks for stubs of that too.

    Raises: CheckpointError if there is no such file, or it is damaged, or holds no weights, or would run code.
    """
    path = weights_file(path)
    container = identify_container(path)
    state = FileState.of(path)  # first: a file that is replaced from here on is another one the next time
    if container == "safetensors":
        return replace(_read_safetensors(path), state=state)
    foreign_globals = find_foreign_globals(path, container)
    if not stub_all and not is_training_state(foreign_globals):
        advice = convert_command(path) if _holds_model(path, container) else None
        raise CheckpointError(explain_refusal(path.name, foreign_globals, advice))
    state_dict = _read_pickled(path, container, has_stubs=bool(foreign_globals))
    return Checkpoint(path, state_dict, metadata={}, state=state)


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata of the weights file at `path`, without its weights; empty for a file that has or shows none."""
    try:
        if identify_container(path) != "safetensors":
            return {}
        with safe_open(os.fspath(path), framework="pt", device="cpu") as file:
            return file.metadata() or {}
    except (CheckpointError, SafetensorError, OSError):
        return {}


def _holds_model(path: Path, container: Container) -> bool:
    """Whether a model is left of a pickled file when everything that it names is a stub."""
    try:
        return any(key.endswith(ANCHOR_ENDINGS) for key in _read_pickled(path, container, has_stubs=True))
    except CheckpointError:
        return False


def _read_pickled(path: Path, container: Container, has_stubs: bool) -> dict[str, Tensor]:
    """The weights in what `torch.save` wrote, read by torch where nothing needs a stub and it knows the protocol."""
    pickles = read_pickles(path, container)
    if container == "pickle" and not is_legacy(pickles):
        raise CheckpointError(f"{path.name} is a pickle that torch.save did not write: no weights file. {RESAVE}")
    try:
        if not has_stubs and pickles.startswith(TORCH_PROTOCOL):
            content = _load_plain(path, container)
        else:
            content = load_inert(path, pickles) if container == "zip" else load_legacy(path, pickles)
    except DAMAGED_PICKLE as error:
        raise CheckpointError(explain_damage(path.name, error)) from error
    state_dict = without_module_wrappers(find_weights(content, path.name))
    _check_tensors(path, state_dict)
    return state_dict


def _load_plain(path: Path, container: Container) -> object:
    if container == "zip" and path.suffix != ".safetensors":  # torch goes by that extension where it is given a path
        return torch.load(os.fspath(path), map_location="cpu", weights_only=True, mmap=True)
    with path.open("rb") as file:
        return torch.load(file, map_location="cpu", weights_only=True)


def _read_safetensors(path: Path) -> Checkpoint:
    try:
        with safe_open(os.fspath(path), framework="pt", device="cpu") as file:
            state_dict = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
            metadata = file.metadata() or {}
    except (SafetensorError, OSError, RuntimeError) as error:
        raise CheckpointError(
            f"{path.name} is truncated or damaged: its header does not describe its content ({shorten_error(error)}). "
            "Download it again."
        ) from error
    if not state_dict:
        raise CheckpointError(f"{path.name} holds no weights: its safetensors header lists no tensor.")
    return Checkpoint(path, without_module_wrappers(from_int8(state_dict)), metadata)


def _check_tensors(path: Path, state_dict: dict[str, Tensor]) -> None:
    """Refuse layouts that no model of ours has, and views that claim far more values than the file stores."""
    for key, tensor in state_dict.items():
        if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized or tensor.is_nested:
            raise CheckpointError(
                f"{path.name} holds {shorten(key)} in a form that is not supported "
                f"({tensor.layout}, {tensor.device.type}, {tensor.dtype}): save it as plain tensors."
            )
    claimed = sum(tensor.numel() * tensor.element_size() for tensor in state_dict.values())
    size = path.stat().st_size
    if claimed > 4 * size:
        raise CheckpointError(f"{path.name} is not honest: its tensors claim {claimed} bytes, the file has {size}.")
