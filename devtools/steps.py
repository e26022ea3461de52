"""Setup steps: each says what it does and how long it took, and is skipped when it was finished before."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from . import CACHE


class SetupError(Exception):
    """Something could not be had. The message says what, and what to do; `dev.py` prints it as its only line."""


def step(title: str, stamp: Path, content: str, action: Callable[[], None]) -> None:
    """Run `action` unless `stamp` says that the same `content` was set up before; the stamp is written last."""
    digest = hashlib.sha256(content.encode()).hexdigest()
    if stamp.is_file() and stamp.read_text(encoding="ascii") == digest:
        say(f"{title}: already there")
        return
    timed(title, action)
    unfinished = stamp.with_suffix(".tmp")
    stamp.parent.mkdir(parents=True, exist_ok=True)
    unfinished.write_text(digest, encoding="ascii")
    os.replace(unfinished, stamp)


def timed(title: str, action: Callable[[], None]) -> None:
    """Run `action` and say how long it took."""
    say(f"{title} ...")
    start = time.monotonic()
    action()
    say(f"{title}: done in {time.monotonic() - start:.0f} s")


def say(line: str) -> None:
    """Print one progress line at once, also into a pipe."""
    print(f"[dev] {line}", flush=True)


def run_logged(command: Sequence[str | Path], what: str, advice: str) -> None:
    """Run `command` with its output in a log file.

    Raises:
        SetupError: it failed; the message has `what` was wanted, the command's last error line and `advice`.
    """
    log = CACHE / "setup.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as stream:
        process = subprocess.Popen([str(part) for part in command], stdout=stream, stderr=subprocess.STDOUT)
        _wait_visibly(process)
    if process.returncode != 0:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        errors = [line.strip() for line in lines if "error" in line.lower()] or [line for line in lines if line.strip()]
        found = f" ({errors[-1]})" if errors else ""
        raise SetupError(f"could not get {what}{found}. {advice} Everything it said is in {log}.")


def _wait_visibly(process: subprocess.Popen[bytes]) -> None:
    """Wait for `process`; on a terminal, count the seconds so that a long download is seen to live."""
    start = time.monotonic()
    try:
        while True:
            try:
                process.wait(timeout=1)
                break
            except subprocess.TimeoutExpired:
                if sys.stdout.isatty():
                    print(f"\r      {time.monotonic() - start:.0f} s ", end="", flush=True)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        if sys.stdout.isatty():
            print("\r", end="", flush=True)
