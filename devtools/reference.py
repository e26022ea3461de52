"""The reference implementation, which parity tests and benchmarks import beside ours: both packages are `taming`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from .environment import REFERENCE


def find_reference() -> Path | None:
    """The unpacked reference package: where TAMING_REFERENCE says, or where `dev.py test` puts it."""
    folder = Path(os.environ.get("TAMING_REFERENCE") or REFERENCE)
    return folder if (folder / "taming" / "models" / "vqgan.py").is_file() else None


@contextmanager
def reference_imports(folder: Path, stubs: Mapping[str, Mapping[str, Any]]) -> Iterator[None]:
    """Let `taming` mean the reference for a while; modules that it names but does not need here are `stubs`."""
    roots = {"taming", *stubs}

    def take_out() -> dict[str, ModuleType]:
        return {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in roots}

    ours = take_out()
    for name, content in stubs.items():
        sys.modules[name] = ModuleType(name)
        vars(sys.modules[name]).update(content)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        take_out()
        sys.modules.update(ours)
