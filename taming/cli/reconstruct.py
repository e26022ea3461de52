"""`python -m taming reconstruct`: what of a picture survives its tokens."""

import argparse

import torch

from ..checkpoints import load_vqgan
from ..metrics import psnr
from .images import check_pictures, crop_to_cells, read_picture, result_paths, result_stem, write_picture
from .options import Commands, add_out_folder, add_pictures, add_vqgan


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "reconstruct",
        help="encode pictures and decode them again",
        description="Writes one .png file per picture and says how close it is (PSNR; higher is closer).",
    )
    add_pictures(parser)
    add_vqgan(parser)
    add_out_folder(parser)
    parser.set_defaults(run=run)


@torch.inference_mode()
def run(options: argparse.Namespace) -> None:
    vqgan = load_vqgan(options.vqgan)
    check_pictures(vqgan, options.vqgan)
    names = [f"{result_stem(image)}.png" for image in options.image]
    paths = result_paths(options.image, names, options.out, options.overwrite)
    for image, path in zip(options.image, paths, strict=True):
        pixels = crop_to_cells(read_picture(image), vqgan.factor, image.name)
        indices = vqgan.encode(pixels).indices
        decoded = vqgan.decode_indices(indices).clamp(-1, 1)
        write_picture(decoded[0], path, options.overwrite)
        print(f"  {indices[0].numel()} tokens, {psnr((pixels + 1) / 2, (decoded + 1) / 2).item():.1f} dB")
