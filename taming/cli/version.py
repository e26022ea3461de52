"""Which version of the library this is."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"  # of a clone, or of the pack
NAME = "taming-tokens"


def find_version() -> str:
    """The version in pyproject.toml beside the library, else that of the installed package; "unknown" without both."""
    try:
        text = PYPROJECT.read_text(encoding="utf-8", errors="replace")
    except OSError:  # it is not there, or not for everyone to read
        text = ""
    match = re.search(r'^version = "([^"]+)"$', text, re.MULTILINE)
    if match and f'name = "{NAME}"' in text:
        return match[1]
    try:
        return version(NAME)
    except PackageNotFoundError:
        return "unknown"
