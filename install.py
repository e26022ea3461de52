"""What ComfyUI-Manager runs once the requirements are installed: says what is missing, and where model files go.

It needs no package and downloads nothing.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PYPROJECT = Path(__file__).resolve().with_name("pyproject.toml")
MODULES = {"pillow": "PIL"}  # where a package is imported under another name
COMPLETE = "Taming has every package that it needs."
MESSAGE = """\
Its embedded models are part of it (Templates > taming-tokens > Draw a landscape).
Your own models: VQGAN tokenizers go into models/vqgan, transformers into models/taming_transformers,
each with its .yaml of the same name beside it when it has one."""


def main() -> int:
    print(describe_lacking() or COMPLETE)
    print(MESSAGE)
    return 0


def describe_lacking() -> str:
    """Which packages this Python lacks, or has in too old a version, and what installs them; empty if none."""
    lacking = find_lacking()
    if not lacking:
        return ""
    lines = [f"  {name} {oldest} or newer ({found})" for name, (oldest, found) in lacking.items()]
    torch = lacking.pop("torch", None)
    python = f'"{sys.executable}"' if " " in sys.executable else sys.executable
    wanted = " ".join(f'"{name}>={oldest}"' for name, (oldest, _) in lacking.items())
    advice = [f"Install them: {python} -m pip install {wanted}"] if wanted else []
    if torch is not None:  # a bare pip might take a build that cannot use the GPU
        advice.append("Install or update torch as ComfyUI's README says for your GPU.")
    if torch is None and list(lacking) == ["omegaconf"]:
        advice.append("Without it, YAML files and training recipes cannot be read; everything else works.")
    return "\n".join(["Taming needs packages that this Python lacks:", *lines, *advice])


def find_lacking() -> dict[str, tuple[str, str]]:
    """By name the packages that are missing or too old: the oldest version that will do, and what was found."""
    lacking = {}
    for name, oldest in oldest_versions("dependencies").items():
        try:
            found = version(name) or ""
        except PackageNotFoundError:  # nor is it there under another name, such as that of a fork
            if importlib.util.find_spec(MODULES.get(name, name)) is None:
                lacking[name] = oldest, "not installed"
            continue
        if found and _numbers(found) < _numbers(oldest):
            lacking[name] = oldest, f"{found} is installed"
    return lacking


def oldest_versions(key: str) -> dict[str, str]:
    """The oldest version of each package of a list in pyproject.toml; the oldest Python has no TOML reader."""
    match = re.search(rf"^{key} = (\[.*?\])", PYPROJECT.read_text(encoding="utf-8"), re.MULTILINE)
    assert match is not None  # our own file
    return dict(requirement.split(">=") for requirement in ast.literal_eval(match[1]))


def _numbers(release: str) -> tuple[int, ...]:
    """2.10.1+cu128 as (2, 10, 1)."""
    match = re.match(r"\d+(\.\d+)*", release)
    return tuple(map(int, match[0].split("."))) if match else ()


if __name__ == "__main__":
    sys.exit(main())
