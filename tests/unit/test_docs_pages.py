"""The pages for contributors and readers: every link, file and name in them leads somewhere."""

from __future__ import annotations

import ast
import fnmatch
import functools
import re
from pathlib import Path

import pytest

from repository import ROOT, tracked_files

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
CODE_PAGES = [ROOT / "CONTRIBUTING.md", ROOT / "docs" / "architecture.md"]
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
PLACEHOLDER = re.compile(r"NAME|NODE_ID|FILE")
# Names of torch, ComfyUI and Python, suites of dev.py, and other words that no Python of ours defines.
FOREIGN = {"nn", "Module", "io", "ComfyNode", "NODE_CLASS_MAPPINGS", "COMFYUI_PATH"}
FOREIGN |= {"lint", "parity", "Taming", "target", "inspect", "taming", "nodes", "web", "fast"}


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@functools.cache
def defined_names(file: Path) -> set[str]:
    """Classes, functions, parameters, attributes and variables of a Python file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            names.add(node.name)
        elif isinstance(node, ast.arg | ast.keyword):
            names.add(node.arg or "")
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.attr)
        elif isinstance(node, ast.ImportFrom) and file.name == "__init__.py":
            names |= {alias.name for alias in node.names}
    return names


def all_names() -> set[str]:
    folders = ("taming", "nodes", "devtools", "tests")
    files = [ROOT / "__init__.py", *(file for folder in folders for file in (ROOT / folder).rglob("*.py"))]
    return set().union(*(defined_names(file) for file in files))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file_and_a_heading_of_it(page: Path):
    for link in LINK.findall(prose(page)):
        if link.startswith(("http:", "https:")):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", CODE_PAGES, ids=lambda page: page.name)
def test_every_file_and_folder_that_a_page_names_exists(page: Path):
    paths = re.findall(r"`((?:[\w.*-]+/)+[\w.*-]*|[\w*-]+\.(?:py|md|json|yaml))`", prose(page))
    paths = [path for path in paths if not PLACEHOLDER.search(path)]
    assert len(paths) > 10
    files = [f"/{file.relative_to(ROOT).as_posix()}" for file in tracked_files()]
    for path in paths:
        pattern = f"*/{path}*" if path.endswith("/") else f"*/{path}"
        assert fnmatch.filter(files, pattern) or (ROOT / path).exists(), path


@pytest.mark.parametrize("page", CODE_PAGES, ids=lambda page: page.name)
def test_every_name_that_a_page_says_is_in_a_file_is_in_it(page: Path):
    text = " ".join(prose(page).split())
    pairs = re.findall(r"`(\w+)` in `([\w/]+\.py)`", text) + re.findall(r"`(\w+)` \(`([\w/]+\.py)`\)", text)
    assert len(pairs) >= 2
    for name, file in pairs:
        assert name in defined_names(ROOT / file), f"{name} in {file}"


@pytest.mark.parametrize("page", CODE_PAGES, ids=lambda page: page.name)
def test_every_name_that_a_page_gives_is_one_of_the_code(page: Path):
    named = re.findall(r"`([A-Za-z_][\w.]*)(?:\([\w, =]*\)|=)?`", prose(page))
    words = {word for name in named if not name.endswith((".py", ".md")) for word in name.split(".")}
    assert len(words) > 30
    assert sorted(word for word in words - all_names() - FOREIGN if not PLACEHOLDER.fullmatch(word)) == []
