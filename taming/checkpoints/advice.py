"""Commands that error messages advise, spelled so that a shell takes them as they are printed."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

from ..file_names import mend_name

PLAIN = re.compile(r"[\w./\\:@+=,-]+")  # what no shell reads as something else


def convert_command(path: Path, part: str = "") -> str:
    """The command that writes the model in the file at `path`, of several the one under `part`, as safetensors."""
    name = mend_name("_".join(filter(None, (path.stem, re.sub(r"\W+", "_", part).strip("_")))))
    out = path.with_name(f"{name}.safetensors")
    if out.exists():
        out = path.with_name(f"{name}_converted.safetensors")
    options = ["--part", quote(part)] if part else []
    words = ["python -m taming convert", quote(str(path.absolute())), *options, "--out", quote(str(out.absolute()))]
    return " ".join(words)


def quote(argument: str) -> str:
    """`argument` as one word of a command line."""
    if PLAIN.fullmatch(argument) and (os.name == "nt" or "\\" not in argument):
        return argument
    is_safe = os.name == "nt" or not re.search(r'["$`\\!]', argument)
    return f'"{argument}"' if is_safe else shlex.quote(argument)
