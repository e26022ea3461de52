"""`python -m taming convert`: any checkpoint to one safetensors file that says what it is."""

import argparse
from pathlib import Path

from ..errors import TamingError
from ..file_names import check_free, check_name, check_new_folder, make_folder
from ..user_text import user_path
from .options import TAKEN, Commands, add_overwrite, given_path

OTHER_SUFFIXES = (".ckpt", ".pt", ".pth", ".bin")
DTYPES = ("float32", "float16", "bfloat16")


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "convert",
        help="write a checkpoint as safetensors",
        description="Writes the models of FILE with their configuration as safetensors, without losses and optimizers. "
        "It also reads Lightning checkpoints that hold other objects; nothing in the file is executed.",
    )
    parser.add_argument("file", type=user_path, metavar="FILE", help="a checkpoint of any kind that `inspect` knows")
    parser.add_argument("--out", type=given_path, required=True, metavar="FILE", help="the .safetensors file to write")
    add_overwrite(parser)
    parser.add_argument("--dtype", choices=DTYPES, help="of the weights (default: as they are)")
    parser.add_argument(
        "--part",
        metavar="PREFIX",
        help="the model to take out of FILE where it holds several of one kind: what its keys begin with",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    import torch

    from ..checkpoints import convert_checkpoint

    if options.out.suffix.lower() in OTHER_SUFFIXES:
        name = options.out.with_suffix(".safetensors")
        raise TamingError(f"--out is {options.out}, but convert writes safetensors. Give --out {name}")
    check_out(options.file, options.out, options.overwrite)
    dtype = None if options.dtype is None else getattr(torch, options.dtype)
    convert_checkpoint(options.file, options.out, dtype, part=options.part)
    print(options.out)


def check_out(file: Path, out: Path, overwrite: bool) -> None:
    """Raise TamingError unless `file` can be written as `out`; the folder of that is made."""
    if out.is_dir():
        raise TamingError(f"{out} is a folder. Give --out the name of a file, such as {out / 'model.safetensors'}.")
    check_name(out.name)
    check_new_folder(out.parent)
    if out.resolve() == file.resolve():
        raise TamingError(f"{out} is the input and would be overwritten. Give another --out.")
    if not overwrite:
        check_free([out], TAKEN)
    make_folder(out.parent)
