"""The repository as a clone has it: its files, and the values in pyproject.toml."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def tracked_files() -> list[Path]:
    """Every file that a clone would have, the ones not committed yet included."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listing.splitlines() if (ROOT / name).is_file()]


def project_value(key: str) -> str:
    """One value of pyproject.toml as it is written there; the oldest supported Python has no TOML reader."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    match = re.search(rf"^{re.escape(key)} = (.+)$", text, re.MULTILINE)
    assert match, f"pyproject.toml has no {key}"
    return match[1]
