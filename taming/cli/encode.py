"""`python -m taming encode`: pictures to tokens."""

import argparse

import torch

from ..checkpoints import load_vqgan
from .images import check_pictures, crop_to_cells, read_picture, result_paths, result_stem
from .options import Commands, add_out_folder, add_pictures, add_vqgan
from .tokens_file import write_tokens


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "encode",
        help="turn pictures into tokens",
        description="Writes one .npz file per picture: indices (1, h, w), known (1, h, w), and the fingerprint of the "
        "codebook. Sides are center-cropped to multiples of the token size.",
    )
    add_pictures(parser)
    add_vqgan(parser)
    add_out_folder(parser)
    parser.set_defaults(run=run)


@torch.inference_mode()
def run(options: argparse.Namespace) -> None:
    vqgan = load_vqgan(options.vqgan)
    check_pictures(vqgan, options.vqgan)
    names = [f"{result_stem(image)}.npz" for image in options.image]
    paths = result_paths(options.image, names, options.out, options.overwrite)
    for image, path in zip(options.image, paths, strict=True):
        pixels = crop_to_cells(read_picture(image), vqgan.factor, image.name)
        write_tokens(vqgan.encode(pixels).indices, vqgan, path, options.overwrite)
