"""`python -m taming decode`: tokens to pictures."""

import argparse

import torch
from torch import Tensor

from ..checkpoints import load_vqgan
from ..user_text import user_path
from .images import check_pictures, result_paths, result_stem, write_picture
from .options import Commands, add_out_folder, add_vqgan
from .tokens_file import read_tokens


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "decode",
        help="turn tokens back into pictures",
        description="Writes one .png file per token grid. The tokenizer must have the codebook that the tokens name.",
    )
    tokens = parser.add_argument(
        "tokens", nargs="+", type=user_path, metavar="TOKENS.npz", help="files that `encode` wrote"
    )
    add_vqgan(parser)
    add_out_folder(parser)
    parser.set_defaults(run=run, many=tokens)


@torch.inference_mode()
def run(options: argparse.Namespace) -> None:
    vqgan = load_vqgan(options.vqgan)
    check_pictures(vqgan, options.vqgan)
    names: list[str] = []
    grids: list[Tensor] = []  # (h, w)
    for tokens in options.tokens:
        indices, stem = read_tokens(tokens, vqgan, options.vqgan), result_stem(tokens)
        grids += indices
        names += [f"{stem}_{item}.png" for item in range(len(indices))] if len(indices) > 1 else [f"{stem}.png"]
    paths = result_paths(options.tokens, names, options.out, options.overwrite)
    for grid, path in zip(grids, paths, strict=True):  # one by one, so that none depends on its batch
        write_picture(vqgan.decode_indices(grid[None])[0], path, options.overwrite)
