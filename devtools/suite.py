"""What `dev.py test` runs: linter, type checker, then one pytest process for each folder of tests."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from . import CACHE, ROOT
from .environment import (
    PYTHON,
    prepare_browser,
    prepare_frontend,
    prepare_reference,
    prepare_requirements,
    prepare_test_tools,
    prepare_torch,
)
from .host import get_host
from .package_sets import PackageSet, prepare_packages
from .server import FRONTEND
from .steps import SetupError, say

# A process each: unit tests import `taming` by name, the others see it through the running server or the reference's.
TESTS = ("unit", "parity", "host", "web")
CHECKS = {
    "lint": ("ruff", "check", "."),
    "format": ("ruff", "format", "--check", "."),
    "types": ("pyright",),
}


@dataclass
class Tally:
    """Counts over all pytest processes, and the suites that failed."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    failed_suites: list[str] = field(default_factory=list)


def run_suite(
    arguments: list[str], comfyui: str | None, frontend: str | None = None, packages: PackageSet | None = None
) -> int:
    """Run the suites named at the start of `arguments` (all without a name); the rest goes to pytest.

    Args:
        frontend: the version of ComfyUI's editor to test with, or `latest`, instead of the host's own.
        packages: run the unit tests, and nothing else, with these instead of the pinned ones.
    """
    known = (*CHECKS, *TESTS)
    names = [argument for argument in arguments if argument in known] or (["unit"] if packages else list(known))
    pytest_arguments = [argument for argument in arguments if argument not in known]
    if packages and names != ["unit"]:
        raise SetupError(f"--packages is for the unit tests alone: python3 dev.py test unit --packages {packages}")
    python = prepare_packages(packages) if packages else PYTHON
    environment = dict(os.environ) if packages else _prepare(names, comfyui)
    if frontend:
        environment[FRONTEND] = str(prepare_frontend(frontend))
    tally = Tally()
    for name in names:
        start = time.monotonic()
        say(f"{name} ...")
        command = CHECKS[name] if name in CHECKS else _pytest_command(name, pytest_arguments)
        code = subprocess.run([python, "-m", *command], cwd=ROOT, env=environment).returncode
        if name in TESTS:
            code = _count(name, code, bool(pytest_arguments), tally)
        if code != 0:
            tally.failed_suites.append(name)
        say(f"{name}: {'FAILED' if code else 'ok'} in {time.monotonic() - start:.0f} s")
    return _close(tally)


def _prepare(names: list[str], comfyui: str | None) -> dict[str, str]:
    """Set up what the suites need; returns the environment variables to run them with."""
    environment = dict(os.environ)
    if comfyui:
        environment["COMFYUI_PATH"] = comfyui
    if {"host", "web"} & set(names):
        get_host(comfyui)
    prepare_torch()
    prepare_requirements("this pack", ROOT / "requirements.txt")
    prepare_test_tools()
    if "parity" in names:
        prepare_reference()
    if "web" in names:
        prepare_browser()
    return environment


def _pytest_command(name: str, arguments: list[str]) -> list[str]:
    report = _report(name)
    report.unlink(missing_ok=True)
    return ["pytest", f"tests/{name}", f"--junitxml={report}", *arguments]


def _count(name: str, code: int, is_selection: bool, tally: Tally) -> int:
    """Add one process's counts; a selection that leaves a folder without tests (pytest's exit 5) is no failure."""
    report = _report(name)
    if report.is_file():
        for suite in ElementTree.parse(report).getroot().iter("testsuite"):
            failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
            skipped = int(suite.get("skipped", 0))
            tally.passed += int(suite.get("tests", 0)) - failed - skipped
            tally.failed += failed
            tally.skipped += skipped
    return 0 if code == 5 and is_selection else code


def _close(tally: Tally) -> int:
    if tally.failed_suites:
        say(f"FAILED: {', '.join(tally.failed_suites)}")
    print(f"{tally.passed} passed, {tally.failed} failed, {tally.skipped} skipped", flush=True)
    return int(bool(tally.failed_suites))


def _report(name: str) -> Path:
    return CACHE / "reports" / f"{name}.xml"
