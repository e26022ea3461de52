"""A line that counts up, for people at a terminal."""

import sys


def show_progress(done: int, total: int | None, unit: str) -> None:
    """Write `done` of `total` over the line before; nothing where the output is not a terminal."""
    if sys.stderr.isatty():
        end = "\n" if done == total else ""
        print(f"\r{done:,}{'' if total is None else f' of {total:,}'} {unit}", end=end, file=sys.stderr, flush=True)
