"""Options that several commands share."""

import argparse
from pathlib import Path

from ..checkpoints import embedded_models
from ..user_text import user_path

# Where a command takes many files or values, its default `many` is their argument: `main` adds those behind an option.
Commands = argparse._SubParsersAction

EMBEDDED_VQGAN = next(iter(embedded_models("vqgan")))
EMBEDDED_TRANSFORMER = next(iter(embedded_models("transformer")))
TAKEN = "Give another --out, or --overwrite to replace what is there."  # what to do about a file that is there already


def add_pictures(parser: argparse.ArgumentParser) -> None:
    image = parser.add_argument("image", nargs="+", type=user_path, metavar="IMAGE", help="picture files of any size")
    parser.set_defaults(many=image)


def add_vqgan(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--vqgan", default=EMBEDDED_VQGAN, metavar="FILE", help="the tokenizer (default: %(default)s, part of the pack)"
    )


def add_out_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", type=given_path, required=True, metavar="FOLDER", help="where results go; made if needed"
    )
    add_overwrite(parser)


def add_overwrite(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace files that are there already; without it, the command stops before it replaces any",
    )


def given_path(text: str) -> Path:
    """The path that `text` names: an empty one, of a variable that is not set, would be the folder one is in."""
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty")
    return user_path(text)
