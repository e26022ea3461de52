"""`python -m taming convert`: any checkpoint to one safetensors file that says what it is."""

import argparse
from pathlib import Path

from .options import Commands

DTYPES = ("float32", "float16", "bfloat16")


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "convert",
        help="write a checkpoint as safetensors",
        description="Writes the models of FILE with their configuration as safetensors, without losses and optimizers. "
        "It also reads Lightning checkpoints that hold other objects; nothing in the file is executed.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="a checkpoint of any kind that `inspect` knows")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the .safetensors file to write")
    parser.add_argument("--dtype", choices=DTYPES, help="of the weights (default: as they are)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    import torch

    from ..checkpoints import convert_checkpoint

    dtype = None if options.dtype is None else getattr(torch, options.dtype)
    convert_checkpoint(options.file, options.out, dtype)
    print(options.out)
