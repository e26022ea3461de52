"""Looking into a pickle without running it: what code it asks for, and whether it is safe to hand to a parser."""

from __future__ import annotations

import pickletools
import re
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from ..errors import CheckpointError
from ..text import shorten_error, shorten_text
from .containers import DAMAGED_ZIP, Container, is_data_pickle
from .nested import RESAVE

MAX_PICKLE_BYTES = 32 * 2**20  # names and shapes only, the weights lie outside: a few MB with optimizer state
MAX_DEPTH = 200  # hashing a tuple nested a million deep overflows the C stack of the interpreter
PICKLES_PER_LEGACY_FILE = 5

# What a plain state dict is pickled with; torch reads these without running foreign code.
PLAIN_GLOBALS = re.compile(
    r"collections\.(OrderedDict|Counter)|(__builtin__|builtins)\.(complex|set)|_codecs\.encode"
    r"|torch\.(Size|device|\w+Storage|storage\.\w+Storage|serialization\._get_layout)"
    r"|torch\.(_utils\._rebuild_\w+|_tensor\._rebuild_from_type_v2|nn\.parameter\.Parameter)"
    r"|torch\.(bfloat|float|u?int|q?u?int|complex)\d+(_\w+)?|torch\.(bool|double|float|half|int|long|short)"
)
# What training programs leave beside the weights; anything else counts as code.
TRAINING_GLOBALS = re.compile(
    r"(argparse|ldm|lightning|omegaconf|pathlib|pytorch_lightning|taming)\..+|torch\.(nn|optim)\..+"
    r"|numpy\.(_?core\.(multiarray|numeric)\..+|dtype|ndarray|dtypes\..+)|typing\..+|collections\.defaultdict"
    r"|(__builtin__|builtins)\.(bool|bytes|dict|float|frozenset|int|list|long|object|str|tuple|unicode)|(copyreg|copy_reg)\._reconstructor"
)
# Of these, what makes a copy of its argument. Called on one large value again and again, it fills any memory.
COPIERS = re.compile(r"collections\.(OrderedDict|Counter)|(__builtin__|builtins)\.set|_codecs\.encode|torch\.Size")
CALLS = frozenset({"NEWOBJ", "REDUCE"})
CHANGES_IN_PLACE = frozenset({"ADDITEMS", "APPEND", "APPENDS", "BUILD", "SETITEM", "SETITEMS"})


def find_foreign_globals(path: Path, container: Container) -> list[str]:
    """Names of the globals that the pickles in `path` would call or construct, beyond those of plain tensors.

    Raises: CheckpointError if the pickles are cut off, or made to exhaust whoever parses them.
    """
    stream = BytesIO(read_pickles(path, container))
    foreign: set[str] = set()
    try:
        for _ in range(1 if container == "zip" else PICKLES_PER_LEGACY_FILE):
            foreign.update(name for name in _scan(stream, path.name) if not PLAIN_GLOBALS.fullmatch(name))
            if stream.tell() == len(stream.getbuffer()):
                break
    except CheckpointError:
        raise
    except (ValueError, LookupError) as error:
        if not foreign:  # else these are the better reason to give
            raise CheckpointError(explain_damage(path.name, error)) from error
    return sorted(foreign)


def is_training_state(foreign_globals: list[str]) -> bool:
    """Whether all of these globals are what known training programs leave beside the weights."""
    return all(map(TRAINING_GLOBALS.fullmatch, foreign_globals))


def explain_refusal(name: str, foreign_globals: list[str], command: str | None) -> str:
    """Why the file `name`, whose pickles ask for `foreign_globals`, is not read.

    `command` is the one that takes the weights out; None where none are left without those globals.
    """
    shown = ", ".join(shorten_text(item) for item in foreign_globals[:3]) + ", ..." * (len(foreign_globals) > 3)
    refusal = f"{name} contains code that would have to run to load it (global {shown}): not loaded. "
    if command is None:
        return f"{refusal}No model is left without it. {RESAVE}"
    return f"{refusal}This takes the weights out without running it: '{command}'."


def explain_damage(name: str, reason: Exception) -> str:
    """What is wrong with the file `name`, whose pickles ask for nothing foreign."""
    said = re.search(r"WeightsUnpickler error: ([^\n]+)", str(reason))  # torch goes on to advise reading unsafely
    cause = shorten_text(said[1].rstrip(". ")) if said else shorten_error(reason)
    return f"{name} is truncated or damaged ({cause}): download it again."


def read_pickles(path: Path, container: Container) -> bytes:
    """The pickle of an archive; the beginning of an older file, where its pickles are."""
    if container == "zip":
        with zipfile.ZipFile(path) as archive:
            entry = next(entry for entry in archive.infolist() if is_data_pickle(entry))
            if entry.file_size > MAX_PICKLE_BYTES:
                raise CheckpointError(f"{path.name} has a {entry.file_size}-byte pickle: it is no plain weights file.")
            try:
                return archive.read(entry)
            except (*DAMAGED_ZIP, EOFError, RuntimeError) as error:
                raise CheckpointError(explain_damage(path.name, error)) from error
    with path.open("rb") as file:
        return file.read(MAX_PICKLE_BYTES)


class _Value(int):
    """The depth of a value, with its text where it is one."""

    text = "?"


class _Copier(_Value):
    """The depth of a global that makes copies."""


class _Shared(_Value):
    """The depth of a value that the pickle uses again, or of arguments that begin with one."""


def _scan(stream: BinaryIO, name: str) -> Iterator[str]:
    """The globals of one pickle. Its stack machine is followed with nothing on the stack but nesting depths."""
    stack: list[int] = []
    marks: list[int] = []
    memo: dict[int, int] = {}
    for opcode, argument, _ in pickletools.genops(stream):
        found = ""
        if opcode.name in ("GLOBAL", "INST"):
            found = str(argument).replace(" ", ".")
        elif opcode.name == "STACK_GLOBAL":
            found = ".".join(getattr(value, "text", "?") for value in stack[-2:])
        if found:
            yield found
        if opcode.name == "MARK":
            marks.append(len(stack))
        elif opcode.name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            memo[len(memo) if argument is None else int(argument)] = stack[-1]
        elif opcode.name in ("GET", "BINGET", "LONG_BINGET"):
            value = memo[int(argument or 0)]
            shared = value if isinstance(value, _Copier) else _Shared(value)
            shared.text = getattr(value, "text", "?")
            stack.append(shared)
        else:
            _check_call(opcode, stack, name)
            _follow(opcode, stack, marks)
            if COPIERS.fullmatch(found):
                stack[-1] = _Copier(stack[-1])
            elif isinstance(argument, str) and not found:
                text = stack[-1] = _Value(stack[-1])
                text.text = argument
        if stack and stack[-1] > MAX_DEPTH:
            raise CheckpointError(f"{name} nests its pickled values {MAX_DEPTH} deep: it is no plain weights file.")


def _check_call(opcode: pickletools.OpcodeInfo, stack: list[int], name: str) -> None:
    if opcode.name in CALLS and isinstance(stack[-2], _Copier) and isinstance(stack[-1], _Shared):
        raise CheckpointError(f"{name} copies one value over and over: it is no plain weights file.")


def _follow(opcode: pickletools.OpcodeInfo, stack: list[int], marks: list[int]) -> None:
    """Take what `opcode` takes from the stack and put its result there, one deeper than the deepest it was made of."""
    taken: list[int] = []
    num_single = len(opcode.stack_before)
    if pickletools.markobject in opcode.stack_before:
        start = marks.pop()
        taken, stack[start:] = stack[start:], []
        num_single = opcode.stack_before.index(pickletools.markobject)
    taken += [stack.pop() for _ in range(num_single)]
    if opcode.name in CHANGES_IN_PLACE:
        *parts, changed = taken
        depth = max(changed, 1 + max(parts, default=0))
    else:
        depth = 1 + max(taken, default=0)
    is_tuple = opcode.name.startswith("TUPLE")
    first = taken[0 if opcode.name == "TUPLE" else -1] if is_tuple and taken else 0  # single values come last first
    if opcode.name == "DUP" or isinstance(first, _Shared):
        depth = _Shared(depth)
    stack.extend([depth] * len(opcode.stack_after))
