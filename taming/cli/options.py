"""Options that several commands share."""

import argparse
from pathlib import Path

from ..checkpoints import embedded_models

Commands = argparse._SubParsersAction

EMBEDDED_VQGAN = next(iter(embedded_models("vqgan")))
EMBEDDED_TRANSFORMER = next(iter(embedded_models("transformer")))


def add_pictures(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", nargs="+", type=Path, metavar="IMAGE", help="picture files of any size")


def add_vqgan(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--vqgan", default=EMBEDDED_VQGAN, metavar="FILE", help="the tokenizer (default: %(default)s, part of the pack)"
    )


def add_out_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where results go; made if needed")
