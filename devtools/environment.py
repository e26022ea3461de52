"""The private `.venv`: pinned torch, what ComfyUI requires, what the pack requires, what the tests require."""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from . import CACHE, ROOT
from .steps import SetupError, run_logged, say, step, timed

VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
REFERENCE = ROOT / ".reference"
CHROMIUM = Path("/usr/bin/chromium")

TORCH = ("torch==2.14.1", "torchvision==0.29.1")
TORCHAUDIO = "torchaudio==2.11.0"  # ComfyUI imports it; its own requirement names another torch, hence --no-deps
# The reference, and another distribution of it that has its object boxes too, under a name of its own.
REFERENCES = ("taming-transformers-rom1504==0.0.6", "taming-transformers-hugf==0.0.1")
TORCH_NAMES = ("torch", "torchvision", "torchaudio")
NETWORK_ADVICE = "Check the network and run the same command again; it goes on where it stopped."


@functools.cache  # once in a run, whoever asks
def prepare_torch() -> None:
    """Make `.venv` with the pinned torch, or raise `SetupError`."""
    _check_python()
    _prepare_venv()
    packages = [*TORCH, TORCHAUDIO]

    def install() -> None:
        pip("install", *TORCH, what="torch")
        pip("install", "--no-deps", TORCHAUDIO, what="torchaudio")

    step("torch 2.14.1 (the longest step, minutes)", _stamp("torch"), "\n".join(packages), install)


@functools.cache
def prepare_requirements(name: str, file: Path) -> None:
    """Install the requirements in `file`, except torch's own, which are pinned; `name` is for the progress line."""
    lines = file.read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if line.strip() not in TORCH_NAMES)

    def install() -> None:
        with tempfile.TemporaryDirectory() as folder:
            filtered = Path(folder) / "requirements.txt"
            filtered.write_text(text, encoding="utf-8")
            pip("install", "-r", filtered, what=f"the requirements of {name}")

    step(f"requirements of {name}", _stamp(name.replace(" ", "-")), text, install)


def prepare_test_tools() -> None:
    """Install what all tests need, in the versions that are pinned for them, or raise `SetupError`."""
    if sys.version_info < (3, 11):
        raise SetupError(
            f"the pinned tools of the tests need Python 3.11 or newer, and this is {sys.version.split()[0]}. "
            "On Python 3.10 the unit tests run alone: python3.10 dev.py test unit --packages floor"
        )
    prepare_requirements("the tests", ROOT / "tests" / "requirements.txt")


def prepare_reference() -> None:
    """Unpack the reference implementation, which the parity tests compare with, apart from the environment."""

    def install() -> None:
        shutil.rmtree(REFERENCE, ignore_errors=True)
        pip("install", "--no-deps", "--target", REFERENCE, *REFERENCES, what="the reference implementation")

    step("reference implementation", REFERENCE / ".stamp", "\n".join(REFERENCES), install)


def prepare_browser() -> None:
    """Make sure that Chromium is where the browser tests look for it, through apt where that can be done."""
    if CHROMIUM.exists():
        return
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    if not (is_root and shutil.which("apt-get")):
        raise SetupError(
            f"the browser tests need {CHROMIUM}, which is not there. Install Debian's chromium package, "
            "or leave these tests out: python3 dev.py test lint types unit parity host"
        )

    def install() -> None:
        run_logged(["apt-get", "update"], "Debian's package list", NETWORK_ADVICE)
        command = ["apt-get", "install", "-y", "--no-install-recommends", "chromium"]
        run_logged(command, "Debian's chromium package", NETWORK_ADVICE)

    timed("chromium", install)


def prepare_frontend(version: str) -> Path:
    """Get a version of ComfyUI's editor, `latest` or a number, apart from the environment; returns its web root."""
    folder = CACHE / "frontend" / version
    requirement = "comfyui-frontend-package" + ("" if version == "latest" else f"=={version}")

    def install() -> None:
        pip("install", "--no-deps", "--upgrade", "--target", folder, requirement, what=f"frontend {version}")

    if version == "latest":  # which one that is changes, so it is asked for every time
        timed("frontend latest", install)
    else:
        step(f"frontend {version}", folder / ".stamp", requirement, install)
    found = next(folder.glob("comfyui_frontend_package-*.dist-info")).name.split("-")[1].removesuffix(".dist")
    say(f"frontend {found}")
    return folder / "comfyui_frontend_package" / "static"


def pip(*arguments: str | Path, what: str, python: Path = PYTHON) -> None:
    """Run pip of `python`, that of the private environment by default; `what` is named in the error when it fails."""
    command = [python, "-m", "pip", *arguments, "--disable-pip-version-check", "--retries", "2"]
    run_logged(command, what, NETWORK_ADVICE)


def missing_requirements(python: Path) -> list[str]:
    """Names in the pack's requirements.txt that the environment of `python` does not have."""
    script = (
        "import importlib.metadata as m, sys\n"
        "def has(name):\n"
        "    try: return bool(m.distribution(name))\n"
        "    except m.PackageNotFoundError: return False\n"
        "print(*[name for name in sys.argv[1:] if not has(name)])"
    )
    names = (ROOT / "requirements.txt").read_text(encoding="utf-8").split()
    return subprocess.run([python, "-c", script, *names], capture_output=True, text=True, check=True).stdout.split()


def _check_python() -> None:
    if not (3, 10) <= sys.version_info[:2] <= (3, 14):
        raise SetupError(
            f"Python {sys.version.split()[0]} is not one that torch 2.14.1 has builds for. "
            "Run this with Python 3.10 to 3.14, for example: python3.11 dev.py demo"
        )


def _prepare_venv() -> None:
    if PYTHON.exists() and subprocess.run([PYTHON, "-m", "pip", "--version"], capture_output=True).returncode == 0:
        return
    if importlib.util.find_spec("ensurepip") is None:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise SetupError(
            f"this Python cannot make virtual environments. On Debian or Ubuntu: apt-get install python{version}-venv"
        )
    create = [sys.executable, "-m", "venv", "--clear", VENV]
    timed("private environment .venv", lambda: run_logged(create, "a virtual environment", NETWORK_ADVICE))


def _stamp(name: str) -> Path:
    return VENV / "stamps" / name
