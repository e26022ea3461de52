"""The command line, `python -m devtools.gpu_training`: pack, train, unpack."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import devtools.gpu_training as package
from taming.errors import TamingError

from ..steps import SetupError, say
from .pack import GPU_FOLDER, WORK_FOLDER, pack
from .parts import Report, join_parts
from .stages import STAGES
from .train import Options, train_stage


def main() -> int:
    options = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a command that ends takes its processes along
    logging.basicConfig(level=logging.INFO, format="%(relativeCreated)7d ms  %(message)s")
    try:
        if options.command == "pack":
            pack(options.photographs, options.tokenizer, options.map_tokenizer)
        elif options.command == "train":
            report = train_stage(read_options(options))
            say(describe(report))
        else:
            report = join_parts(options.folder, options.file)
            say(f"{options.file}: {describe(report)}")
    except (SetupError, TamingError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def describe(report: Report) -> str:
    """How a training ended, and the last evaluation."""
    figures = ", ".join(f"{name} {value:.4g}" for name, value in report.log[-1].items())
    return f"{report.stage} on {report.device}, {report.ending}; of {report.num_steps} steps: {figures}"


def read_options(told: argparse.Namespace) -> Options:
    """The options of `train`."""
    values: dict[str, Any] = {field.name: getattr(told, field.name) for field in fields(Options)}
    return Options(**values)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=package.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack", help="fill .gpu with what the GPU machine lacks")
    packing.add_argument("--photographs", type=Path, default=Path("runs/photographs"), metavar="FOLDER")
    packing.add_argument("--tokenizer", type=Path, metavar="FILE", help="of the images")
    packing.add_argument("--map-tokenizer", type=Path, metavar="FILE", help="of segmentation maps")
    training = commands.add_parser("train", help="train on this machine")
    training.add_argument("stage", choices=STAGES)
    training.add_argument("overrides", nargs="*", help="changed values of the recipe, such as data.count=20000")
    training.add_argument("--minutes", type=float, required=True, help="of the whole command")
    training.add_argument("--more-minutes", type=float, default=0.0, help="of a second call that goes on")
    training.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="of what comes back")
    training.add_argument("--init-from", type=Path, metavar="FILE", help="weights to start from")
    training.add_argument("--batch-factor", type=int, help="times the recipe's batch sizes (default: the stage's)")
    training.add_argument("--device", default="auto")
    training.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: all cores)")
    training.add_argument("--rehearsal-seconds", type=float, default=2.5, help="that each phase is timed (2.5)")
    training.add_argument("--work", type=Path, default=WORK_FOLDER, metavar="FOLDER", help="of scenes and states")
    training.add_argument("--packed", type=Path, default=GPU_FOLDER, metavar="FOLDER", help="that `pack` made")
    joining = commands.add_parser("unpack", help="join the parts that came back")
    joining.add_argument("folder", type=Path)
    joining.add_argument("file", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
