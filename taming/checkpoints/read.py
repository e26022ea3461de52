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
from ..wording import shorten, shorten_error
from .containers import Container, identify_container
from .embedded import weights_file
from .inert import load_inert
from .int8_weights import from_int8
from .pickles import explain_damage, explain_refusal, find_foreign_globals, is_training_state, read_pickles

# Keys under which training programs nest the weights, in order of preference.
WRAPPERS = ("state_dict", "model", "module", "ema")
MAX_NESTING = 4
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
        raise CheckpointError(explain_refusal(path.name, foreign_globals))
    load = _load_with_stubs if foreign_globals else _load_plain
    try:
        content = load(path, container)
    except DAMAGED_PICKLE as error:
        raise CheckpointError(explain_damage(path.name, error)) from error
    state_dict = _unwrap(path, content)
    _check_tensors(path, state_dict)
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


def _load_with_stubs(path: Path, container: Container) -> object:
    if container == "pickle":
        raise CheckpointError(
            f"{path.name} holds more than weights, in the format that PyTorch wrote before 1.6: not read. Load and "
            "save its state_dict with a newer PyTorch, where the file is trusted."
        )
    return load_inert(path, read_pickles(path, container))


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
    return Checkpoint(path, from_int8(state_dict), metadata)


def _unwrap(path: Path, content: object) -> dict[str, Tensor]:
    """The tensors inside the wrappers, without what training programs keep beside them."""
    for _ in range(MAX_NESTING):
        if not isinstance(content, dict):
            break
        items = dict.items(content)  # a pickle can give a mapping attributes of the names of its methods
        nested = {key: value for key, value in items if isinstance(value, dict)}
        wrapper = next((key for key in WRAPPERS if key in nested), None)
        tensors = {key: value for key, value in items if isinstance(key, str) and isinstance(value, Tensor)}
        if wrapper is None and tensors:
            return {key: tensor.detach() for key, tensor in tensors.items()}
        if wrapper is None and len(nested) != 1:
            break
        content = nested[wrapper] if wrapper is not None else next(iter(nested.values()))
    found = f"a {type(content).__name__}"
    if isinstance(content, dict):
        found = f"the keys {shorten([key for key in dict.keys(content) if isinstance(key, str)][:4])}"
    raise CheckpointError(f"{path.name} holds no weights: found {found} where named tensors were expected.")


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
