"""Measuring in a process that holds nothing else, whose peak of memory is then that of one contender."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from benchmarks import ROOT


def run_alone(module: str, *arguments: object) -> dict[str, Any]:
    """What `module` of benchmarks/, run by itself with `arguments`, prints as its last line, in JSON."""
    result = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(result.stdout.splitlines()[-1])
