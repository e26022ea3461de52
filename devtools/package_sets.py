"""Environments for the unit tests: the oldest packages and Python that pyproject.toml allows, and the newest there are.

Apart from the private `.venv`, whose versions are pinned.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args

from install import PYPROJECT, oldest_versions

from . import CACHE
from .environment import NETWORK_ADVICE, pip
from .steps import SetupError, run_logged, say, step, timed

PackageSet = Literal["floor", "newest"]
PACKAGE_SETS: tuple[PackageSet, ...] = get_args(PackageSet)
# What the unit tests import beside what they test, in whatever versions the Python has.
TOOLS = ("pytest", "hypothesis", "psutil", "websocket-client", "playwright", "webdataset", "setuptools>=77")
LISTS = ("dependencies", "train", "distributed")  # of pyproject.toml


def prepare_packages(name: PackageSet) -> Path:
    """Make the environment `name`; returns its Python.

    Raises: SetupError without a Python for it, or if a package cannot be had.
    """
    base = find_python(oldest_python()) if name == "floor" else Path(sys.executable)
    folder = CACHE / f"packages-{name}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    requirements = package_set(name)

    def install() -> None:
        run_logged([base, "-m", "venv", "--clear", folder], "a virtual environment", NETWORK_ADVICE)
        pip("install", *requirements, what=f"the {name} packages", python=python)

    def upgrade() -> None:
        if not (folder / ".stamp").is_file():
            install()
        else:
            pip("install", "--upgrade", *requirements, what=f"the {name} packages", python=python)

    if name == "floor":
        step("the oldest packages", folder / ".stamp", f"{base} {requirements}", install)
    else:  # which ones they are changes, so it is asked for every time
        timed("the newest packages", upgrade)
        (folder / ".stamp").touch()
    show = [python, "-m", "pip", "freeze", "--disable-pip-version-check"]
    frozen = subprocess.run(show, capture_output=True, text=True, check=True).stdout.splitlines()
    names = {re.split("[><=]", requirement)[0] for requirement in requirements} - set(TOOLS)
    say("packages: " + ", ".join(line for line in frozen if line.partition("==")[0].lower() in names))
    return python


def package_set(name: PackageSet) -> list[str]:
    """What pip is asked for."""
    oldest = {package: version for key in LISTS for package, version in oldest_versions(key).items()}
    sign = "==" if name == "floor" else ">="
    return [*(f"{package}{sign}{version}" for package, version in oldest.items()), *TOOLS]


def oldest_python() -> str:
    """The oldest Python that pyproject.toml allows, such as 3.10."""
    match = re.search(r'^requires-python = ">=([\d.]+)"', PYPROJECT.read_text(encoding="utf-8"), re.MULTILINE)
    assert match is not None  # our own file
    return match[1]


def find_python(version: str) -> Path:
    """A Python of `version`, such as 3.10: this one, one on the path, or one of pyenv.

    Raises: SetupError if there is none.
    """
    for candidate in _candidates(version):
        command = [candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        if subprocess.run(command, capture_output=True, text=True).stdout.strip() == version:
            return candidate
    raise SetupError(
        f"the oldest packages are tested on Python {version}, and there is no python{version} here. Install it, or run "
        f"this command with one: PATH/python{version} dev.py test unit --packages floor"
    )


def _candidates(version: str) -> Iterator[Path]:
    yield Path(sys.executable)
    on_path = shutil.which(f"python{version}")
    if on_path is not None:
        yield Path(on_path)
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from sorted(pyenv.glob(f"versions/{version}*/bin/python"))
