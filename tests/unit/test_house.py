"""What the repository promises about itself: one version, files that fit every machine."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from repository import ROOT, project_value, tracked_files

BINARY = {".safetensors", ".jpg", ".png", ".gif", ".webp"}
SOURCES = sorted(file for folder in ("taming", "nodes", "devtools") for file in (ROOT / folder).rglob("*.py"))


def texts() -> dict[str, str]:
    files = [file for file in tracked_files() if file.suffix not in BINARY]
    return {file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8") for file in files}


def test_the_version_stands_in_pyproject_and_heads_the_changelog_and_is_nowhere_else():
    version = ast.literal_eval(project_value("version"))
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## (\S+)", changelog, re.MULTILINE)
    assert newest and newest[1] == version
    copies = [name for name, text in texts().items() if name.endswith(".py") and f'"{version}"' in text]
    assert copies == []


def test_the_host_version_has_the_form_that_the_registry_reads():
    """`>=0.30` is dropped with no more than a warning."""
    assert re.fullmatch(r'">=\d+\.\d+\.\d+"', project_value("requires-comfyui"))


def test_no_file_names_a_place_on_one_machine():
    pattern = re.compile(r"(?<![\w.])/(?:tmp|home|root|work|Users)/\w|[A-Z]:\\\\?Users")
    hits = [f"{name}: {match[0]}" for name, text in texts().items() for match in [pattern.search(text)] if match]
    assert hits == []


def test_sources_are_ascii():
    """Python on Windows may read sources of a pack in a code page of its own."""
    assert [name for name, text in texts().items() if name.endswith(".py") and not text.isascii()] == []


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_files_and_functions_stay_short_enough_to_read(file: Path):
    source = file.read_text(encoding="utf-8")
    assert source.count("\n") <= 400
    nodes = ast.walk(ast.parse(source))
    functions = [node for node in nodes if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    assert [node.name for node in functions if (node.end_lineno or node.lineno) - node.lineno >= 60] == []


def test_the_published_pack_has_what_runs_and_leaves_out_what_builds():
    ignored = (ROOT / ".comfyignore").read_text(encoding="utf-8").split()
    published = [file.relative_to(ROOT).as_posix() for file in tracked_files()]
    published = [name for name in published if not name.startswith(tuple(ignored))]
    tops = {name.split("/")[0] for name in published}
    assert {"__init__.py", "install.py", "pyproject.toml", "requirements.txt", "LICENSE", "taming", "nodes"} <= tops
    assert tops.isdisjoint({"dev.py", "devtools", "tests", "benchmarks", ".ci"})


def test_install_runs_without_any_package_and_says_what_is_missing_and_where_models_go():
    result = subprocess.run([sys.executable, "-I", "-S", ROOT / "install.py"], capture_output=True, text=True)
    assert result.returncode == 0
    assert "models/vqgan" in result.stdout
    assert "omegaconf 2.1.0 or newer (not installed)" in result.stdout and "every package" not in result.stdout
