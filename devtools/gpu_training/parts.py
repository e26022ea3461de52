"""A weights file in parts that are small enough to come back, and the file again."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from ..steps import SetupError

MIB = 2**20
PART_BYTES = 15 * MIB  # of the 16 MiB that a file may have
REPORT_FILE = "report.json"


@dataclass(frozen=True)
class Report:
    """What a training brings back beside the parts and the sheet."""

    stage: str
    ending: str  # "finished", or why it stopped before
    device: str
    num_steps: int  # that were planned; the last row of the log has those that were done
    step_seconds: list[float]  # of a step of each phase, as the rehearsal measured them
    sha256: str  # of the weights file
    parts: list[str]  # names of files, in order
    log: list[dict[str, float]]  # rows of the run's log.jsonl


def split_file(file: Path, folder: Path, part_bytes: int = PART_BYTES) -> list[str]:
    """Write `file` into `folder` in parts of at most `part_bytes`; returns their names, in order."""
    names = []
    with file.open("rb") as source:
        while part := source.read(part_bytes):
            names.append(f"{file.stem}.part{len(names)}")
            (folder / names[-1]).write_bytes(part)
    return names


def write_report(report: Report, folder: Path) -> None:
    (folder / REPORT_FILE).write_text(json.dumps(asdict(report), indent=1) + "\n", encoding="ascii")


def join_parts(folder: Path, file: Path) -> Report:
    """Write the weights that came back in `folder` to `file`, and the log beside it as `<file>.log.jsonl`.

    Raises: SetupError if a part is missing or damaged.
    """
    try:
        report = Report(**json.loads((folder / REPORT_FILE).read_text(encoding="ascii")))
        content = b"".join((folder / name).read_bytes() for name in report.parts)
    except FileNotFoundError as error:
        raise SetupError(f"{error.filename} did not come back. Fetch the files of the command again.") from error
    if hashlib.sha256(content).hexdigest() != report.sha256:
        raise SetupError(f"the parts in {folder} are damaged or of another file. Fetch them again.")
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(".unfinished")
    unfinished.write_bytes(content)
    os.replace(unfinished, file)
    file.with_suffix(".log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in report.log), encoding="ascii")
    return report


def file_digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
