"""`python -m taming sample`: draw pictures, from nothing or over parts of one."""

from __future__ import annotations

import argparse
import logging
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ..checkpoints import load_transformer, load_vqgan
from ..errors import TamingError
from ..file_names import check_free, check_new_folder, make_folder, name_of_text
from ..models import PRECISIONS, Transformer, VQModel
from ..sampling import (
    SamplingOptions,
    check_cells,
    check_vocabulary,
    choose_cells,
    forget_cells,
    generate,
    pad_cells,
    recommended_options,
    sampling_threads,
)
from ..text import shorten
from ..user_text import user_path
from .conditions import add_conditions, read_condition
from .images import check_pictures, crop_to_cells, read_mask, read_picture, write_picture
from .options import EMBEDDED_TRANSFORMER, TAKEN, Commands, add_out_folder
from .progress import show_progress

log = logging.getLogger(__name__)

DEFAULT_STRENGTH = 0.8
DEFAULTS = {"grow": 0, "patch": 1}  # that do nothing
# Options that are about what another one gives.
NEEDS = {
    **dict.fromkeys(("strength", "mask", "pad", "patch"), ("image", "a picture to draw on")),
    "grow": ("mask", "a mask"),
    "palette": ("segmentation", "a segmentation"),
}
MAX_PIXELS = 2**28  # 16384 x 16384, the largest picture of ComfyUI


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "sample",
        help="draw pictures with a transformer",
        description="Draws pictures as .png files. With --image, parts of it are drawn again: "
        "under --mask (inpainting), a share by --strength (img2img), or what --pad adds around it (outpainting).",
    )
    parser.add_argument(
        "--transformer", default=EMBEDDED_TRANSFORMER, metavar="FILE", help="default: %(default)s, part of the pack"
    )
    parser.add_argument("--vqgan", metavar="FILE", help="its tokenizer (default: the one that comes with it)")
    add_conditions(parser)
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same picture (default 0)")
    asked = parser.add_argument_group("how to draw", "What is not given is what the model recommends.")
    asked.add_argument("--temperature", type=float, help="1: as trained, below: safer, above: wilder")
    asked.add_argument("--top-k", type=int, help="only the k likeliest tokens; 0 is off")
    asked.add_argument("--top-p", type=float, help="only the likeliest tokens up to this share; 1 is off")
    asked.add_argument("--guidance-scale", type=float, help="above 1: closer to the condition; 1 is off")
    parser.add_argument("--batch-size", type=int, metavar="N", help="pictures to draw (default: one per label)")
    parser.add_argument("--width", type=int, metavar="PX", help="of the picture (default: what it was trained on)")
    parser.add_argument("--height", type=int, metavar="PX", help="of the picture (default: what it was trained on)")
    parser.add_argument(
        "--image", type=user_path, help="a picture to start from; scaled to --width and --height if given"
    )
    parser.add_argument(
        "--mask",
        type=user_path,
        metavar="IMAGE",
        help="where to draw it again: what is white, or has any color; what is black or transparent stays. It may be "
        "gray, white on black or white on transparent. Without a mask, all of it",
    )
    parser.add_argument(
        "--grow", type=int, default=DEFAULTS["grow"], metavar="PX", help="grow the mask by so many pixels (default 0)"
    )
    parser.add_argument(
        "--strength",
        type=float,
        help=f"share to draw again (default: 1 with a mask or padding, else {DEFAULT_STRENGTH})",
    )
    parser.add_argument(
        "--patch",
        type=int,
        default=DEFAULTS["patch"],
        metavar="N",
        help="draw patches of about N x N tokens again (default 1)",
    )
    parser.add_argument(
        "--pad", type=int, nargs=4, metavar=("LEFT", "TOP", "RIGHT", "BOTTOM"), help="tokens to add around the picture"
    )
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="auto", help="of the weights; fp16 and int8 are faster (auto)"
    )
    add_out_folder(parser)
    parser.set_defaults(run=run)


@torch.inference_mode()
def run(options: argparse.Namespace) -> None:
    check_numbers(options)
    picture_paths(options, 1)  # that of the first is known before a model is loaded
    transformer, vqgan = load_models(options)
    filters = find_settings(options, transformer)
    indices, known = starting_grid(options, transformer, vqgan)
    height, width = (side * vqgan.factor for side in indices.shape[1:])
    condition = read_condition(options, transformer, (width, height))
    check_cells(condition.batch_size, *indices.shape[1:])
    indices = indices.repeat(condition.batch_size, 1, 1)  # (B, h, w)
    known = known.repeat(condition.batch_size, 1, 1)
    if options.image is not None:
        known = known & ~cells_to_forget(options, indices.shape, vqgan.factor)
    if options.pad is not None:
        indices, known = pad_cells(indices, known, *options.pad)
    paths = picture_paths(options, len(indices))

    def report(done: int, total: int, *_grids: Tensor) -> None:
        show_progress(done, total, "tokens")

    rows = len(indices) * (2 if filters.guidance_scale != 1 else 1)
    with sampling_threads(transformer, rows):
        drawn = generate(condition, indices, known, options=filters, seed=options.seed, callback=report)
    make_folder(options.out)
    for path, grid in zip(paths, drawn, strict=True):
        write_picture(vqgan.decode_indices(grid[None])[0], path, options.overwrite)


def picture_paths(options: argparse.Namespace, count: int) -> list[Path]:
    """Where `count` pictures go, named by the label or the prompt, the seed, and their place in the batch."""
    check_new_folder(options.out)
    text = options.label or options.prompt
    title = name_of_text(text) if text else "sample"
    paths = [options.out / f"{title}_{options.seed}_{item}.png" for item in range(count)]
    if not options.overwrite:
        check_free(paths, TAKEN)
    return paths


def check_numbers(options: argparse.Namespace) -> None:
    """Raise TamingError for what no model could do, before one is loaded."""
    for name in ("batch_size", "width", "height", "patch"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise TamingError(f"--{name.replace('_', '-')} is {shorten(value)}; it must be 1 or more.")
    if not 0 <= options.seed < 2**64:
        raise TamingError(f"--seed is {shorten(options.seed)}; it must be from 0 to {2**64 - 1}.")
    replace(SamplingOptions(), **given_settings(options))  # refuses numbers that are none
    for name, (needed, what) in NEEDS.items():
        if getattr(options, name) not in (None, DEFAULTS.get(name)) and getattr(options, needed) is None:
            raise TamingError(f"--{name} is about {what}: give it with --{needed}.")


def given_settings(options: argparse.Namespace) -> dict[str, float]:
    """What the command line says of how to draw."""
    names = ("temperature", "top_k", "top_p", "guidance_scale")
    return {name: getattr(options, name) for name in names if getattr(options, name) is not None}


def find_settings(options: argparse.Namespace, transformer: Transformer) -> SamplingOptions:
    """How to draw: as the options say, and as the transformer recommends where they say nothing."""
    recommended = recommended_options(transformer)
    if not (options.label or options.prompt or options.negative):
        recommended = replace(recommended, guidance_scale=1.0)  # it would move away from what is drawn
    settings = replace(recommended, **given_settings(options))
    log.info("Settings: %s.", settings)
    if options.negative and settings.guidance_scale == 1:
        log.warning("--negative does nothing while --guidance-scale is 1; 2 to 4 is usual.")
    return settings


def load_models(options: argparse.Namespace) -> tuple[Transformer, VQModel]:
    """The transformer, and the tokenizer that its tokens belong to."""
    transformer, first_stage = load_transformer(options.transformer, precision=options.precision)
    vqgan = first_stage if options.vqgan is None else load_vqgan(options.vqgan)
    if vqgan is None:
        raise TamingError(f"{options.transformer} comes without a tokenizer. Give the one it was trained on: --vqgan.")
    check_pictures(vqgan, options.vqgan or options.transformer)
    check_vocabulary(transformer, vqgan.config.num_tokens)
    return transformer, vqgan


def cells_to_forget(options: argparse.Namespace, shape: torch.Size, factor: int) -> Tensor:
    """Which cells of the picture are drawn again, (B, h, w) bool."""
    batch, height, width = shape
    masked = None
    if options.mask is not None:
        masked = forget_cells(read_mask(options.mask), (batch, height, width), factor, options.grow)
    strength = options.strength
    if strength is None:
        strength = 1.0 if masked is not None else DEFAULT_STRENGTH
    if options.pad is not None and options.strength is None and masked is None:
        strength = 0.0  # what is added is drawn, and the picture stays
    return choose_cells((batch, height, width), strength, options.seed, masked, options.patch)


def starting_grid(options: argparse.Namespace, transformer: Transformer, vqgan: VQModel) -> tuple[Tensor, Tensor]:
    """The tokens of --image, all known, or an empty grid: indices (1, h, w) and which of them are known."""
    rows, columns = transformer.config.grid
    factor = vqgan.factor
    width, height = options.width or columns * factor, options.height or rows * factor
    if width * height > MAX_PIXELS:
        raise TamingError(
            f"{width}x{height} px are more than the limit of {MAX_PIXELS} pixels. Draw a smaller picture."
        )
    if options.image is not None:
        size_px = (width, height) if options.width or options.height else None
        pixels = crop_to_cells(read_picture(options.image, size_px), factor, options.image.name)
        indices = vqgan.encode(pixels).indices
        return indices, torch.ones_like(indices, dtype=torch.bool)
    if width < factor or height < factor:
        raise TamingError(f"{width}x{height} px is less than one token, {factor}x{factor} px.")
    if width % factor or height % factor:
        log.warning("%dx%d px cut to multiples of %d px.", width, height, factor)
    check_cells(options.batch_size or 1, height // factor, width // factor)
    indices = torch.zeros(1, height // factor, width // factor, dtype=torch.int64)
    return indices, torch.zeros_like(indices, dtype=torch.bool)
