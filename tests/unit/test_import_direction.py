"""Imports go downwards only, as the architecture says; read from the source, nothing is run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACK = ROOT / "taming"

# What each part of the library may import from the others. The first three stand below everything.
MAY_IMPORT = {
    "errors": {"text"},
    "text": set(),
    "file_names": {"errors", "text"},
    "user_text": set(),
    "configs": {"errors", "text", "user_text"},
    "modules": {"errors", "text", "configs"},
    "conditioning": {"errors", "text", "configs", "user_text", "modules"},
    "sampling": {"errors", "text", "configs", "modules", "conditioning"},
    "models": {"errors", "text", "user_text", "configs", "modules", "conditioning", "sampling"},
    "data": {"errors", "user_text"},
    "viz": {"errors"},
    "metrics": {"errors"},
    "zoo": {"errors", "text", "file_names", "configs"},
}
MAY_IMPORT["checkpoints"] = MAY_IMPORT["models"] | {"models", "file_names"}
MAY_IMPORT["training"] = MAY_IMPORT["checkpoints"] | {"checkpoints", "data", "viz", "metrics"}
MAY_IMPORT["cli"] = MAY_IMPORT["training"] | {"training", "zoo"}
MAY_IMPORT["__main__"] = {"cli"}
MAY_IMPORT["__init__"] = set(MAY_IMPORT) - {"cli", "training", "__main__"}
# Types only: conditions and the sampling loop are given a transformer and its caches, and never make one.
MAY_IMPORT_LATE = {"conditioning": {"models"}, "sampling": {"models", "modules"}}
HOST_MODULES = {"comfy", "comfy_api", "comfy_extras", "comfy_execution", "folder_paths", "nodes", "server", "execution"}


def python_files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def imports(file: Path, *, only_late: bool | None = None) -> Iterator[tuple[str, bool]]:
    """Yield each imported module by its full dotted name below the repository, and whether the import is relative.

    `only_late` picks the imports inside functions and under TYPE_CHECKING (True), or all others (False).
    """
    package = file.relative_to(ROOT).with_suffix("").parts[:-1]
    tree = ast.parse(file.read_text(encoding="utf-8"))
    late = {id(node) for holder in ast.walk(tree) if is_late(holder) for node in ast.walk(holder)}
    for node in ast.walk(tree):
        if only_late is not None and (id(node) in late) != only_late:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, False) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or "", False
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1]
            names = [node.module] if node.module else [alias.name for alias in node.names]
            yield from ((".".join((*base, name)), True) for name in names)


def is_late(node: ast.AST) -> bool:
    """Whether what stands inside `node` is not run when the file is imported."""
    is_type_checking = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    return is_type_checking or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))


def part_of(dotted: str) -> str:
    """The part of the library that a dotted name below `taming` belongs to."""
    names = dotted.split(".")
    return names[1] if len(names) > 1 else "__init__"


@pytest.mark.parametrize("file", python_files(PACK), ids=lambda file: str(file.relative_to(ROOT)))
def test_a_library_file_imports_only_what_stands_below_it(file: Path):
    part = part_of(".".join(file.relative_to(ROOT).with_suffix("").parts))
    assert part in MAY_IMPORT, f"{part} has no place in the import order yet; give it one here"
    below = MAY_IMPORT[part] | {part}
    late = below | MAY_IMPORT_LATE.get(part, set())
    at_once = {part_of(name) for name, is_relative in imports(file, only_late=False) if is_relative}
    assert at_once <= below, f"{part} must not import {at_once - below}, which stand above it or beside it"
    assert {part_of(name) for name, is_relative in imports(file, only_late=True) if is_relative} <= late


@pytest.mark.parametrize("file", python_files(PACK), ids=lambda file: str(file.relative_to(ROOT)))
def test_the_library_never_reaches_outside_itself(file: Path):
    for name, is_relative in imports(file):
        assert name.split(".")[0] not in HOST_MODULES, f"{name}: the library must run without ComfyUI"
        assert is_relative == (name.split(".")[0] == "taming"), f"{name}: own modules are imported relatively"


def test_omegaconf_appears_only_where_yaml_is_read():
    users = [file for file in python_files(PACK) if any(name.startswith("omegaconf") for name, _ in imports(file))]
    assert {file.relative_to(PACK).as_posix() for file in users} <= {"checkpoints/yaml_file.py", "configs/__init__.py"}


def test_only_the_host_files_of_the_nodes_touch_the_host():
    host_modules = HOST_MODULES - {"comfy_api"}
    users = [
        file.name
        for file in python_files(ROOT / "nodes")
        if any(name.split(".")[0] in host_modules for name, is_relative in imports(file) if not is_relative)
    ]
    assert set(users) <= {"host.py", "host_events.py", "host_folders.py", "host_memory.py"}


def test_the_root_imports_nothing_when_it_is_imported():
    tree = ast.parse((ROOT / "__init__.py").read_text(encoding="utf-8"))
    modules = [node.module for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert not any(isinstance(node, ast.Import) for node in tree.body)
    assert set(modules) <= {"__future__", "typing"}
    assert not any(isinstance(node, ast.Name) and node.id == "NODE_CLASS_MAPPINGS" for node in ast.walk(tree))
