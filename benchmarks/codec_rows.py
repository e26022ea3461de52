"""The tokenizers of bench_codec.py, each made on its own; as a program, the memory that one of them takes.

`python -m benchmarks.codec_rows --only NAME`, with PYTHONPATH naming the repository: a process that holds nothing else.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from benchmarks.machine import peak_mib, start_counting_peak, take_sample
from benchmarks.peers import load_reference_vqgan
from benchmarks.token_rows import NotMeasured, check_compiler
from devtools.reference import find_reference
from taming.models import VQModel, VQModelConfig
from taming.modules.fast import memory_format

REFERENCE, REFERENCE_COMPILED = "reference", "reference, compiled"
DIFFUSERS, DIFFUSERS_COMPILED = "diffusers", "diffusers, channels last, compiled"
OURS, OURS_CHANNELS_FIRST = "taming", "taming, channels first"
NAMES = (REFERENCE, REFERENCE_COMPILED, DIFFUSERS, DIFFUSERS_COMPILED, OURS, OURS_CHANNELS_FIRST)
COMPILED = (REFERENCE_COMPILED, DIFFUSERS_COMPILED)
WITH_OUR_WEIGHTS = (REFERENCE_COMPILED, OURS, OURS_CHANNELS_FIRST)  # those of the reference
SHAPES = {  # width at full resolution, its multiples, codes, their width
    "published f16": (128, (1, 1, 2, 2, 4), 16_384, 256),
    "tiny": (32, (1, 2, 2), 256, 16),  # for --quick
}
GFLOP = {  # of the reference, in the published shape; every contender is counted with them
    ("decode", 256): 252.7,
    ("decode", 512): 1017.3,
    ("encode", 256): 138.4,
    ("encode", 512): 558.5,
}

Run = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Contender:
    """A tokenizer's three parts."""

    decode: Run  # quantized latents (1, D, h, w) to pixels (1, 3, H, W)
    encode: Run  # pixels (1, 3, H, W) to latents (1, D, h, w), before the codes are looked for
    nearest: Run | None  # the whole quantizer, latents (1, D, h, w) to tokens (h * w); None: it is not compared


def main() -> None:
    """Print the memory and the seconds of the contender's one run as the last line, in JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", required=True, choices=NAMES)
    parser.add_argument("--shape", choices=list(SHAPES), default="published f16")
    parser.add_argument("--work", choices=["decode", "encode", "nearest"], default="decode")
    parser.add_argument("--size", type=int, default=256, help="pixels a side; for nearest, cells in all")
    options = parser.parse_args()
    run = getattr(make_contender(options.only, options.shape), options.work)
    given = inputs(options.shape, options.work, options.size)
    start_counting_peak()
    before = peak_mib()
    with torch.inference_mode():
        sample = take_sample(lambda: run(given))
    memory_taken = {"whole_mib": round(peak_mib(), 1), "grown_mib": round(peak_mib() - before, 1)}
    print(json.dumps({**memory_taken, "seconds": round(sample.seconds, 2), "foreign": sample.foreign}))


def inputs(shape: str, work: str, size: int) -> Tensor:
    """What the part `work` is given: a picture of `size` pixels a side, its latents, or `size` latents in a row."""
    config = make_config(shape)
    generator = torch.Generator().manual_seed(0)
    if work == "encode":
        return torch.rand(1, 3, size, size, generator=generator) * 2 - 1
    cells = (size // config.factor, size // config.factor) if work == "decode" else (1, size)
    return torch.randn(1, config.embed_dim, *cells, generator=generator)


def make_config(shape: str) -> VQModelConfig:
    ch, ch_mult, codes, dim = SHAPES[shape]
    return VQModelConfig(ch=ch, ch_mult=ch_mult, n_embed=codes, embed_dim=dim, z_channels=dim)


def make_contender(name: str, shape: str) -> Contender:
    """The contender of this name: random weights, those of ours and of the reference the same.

    Raises:
        NotMeasured: it cannot be had here.
    """
    if name in COMPILED:
        check_compiler()
    if name in (DIFFUSERS, DIFFUSERS_COMPILED):
        return make_diffusers(make_config(shape), name == DIFFUSERS_COMPILED)
    torch.manual_seed(0)
    ours = VQModel(make_config(shape)).eval()
    ours.quantize.embedding.weight.data.normal_()  # spread, as the latents that look for them are
    if name in (REFERENCE, REFERENCE_COMPILED):
        return make_reference(ours, name == REFERENCE_COMPILED)
    return make_ours(ours, name == OURS_CHANNELS_FIRST)


def make_ours(vqgan: VQModel, is_channels_first: bool) -> Contender:
    decode, encode = vqgan.decode, vqgan.encode_latents
    if is_channels_first:
        return Contender(channels_first(decode), channels_first(encode), nearest=None)
    return Contender(decode, encode, lambda z: vqgan.quantize(z).indices.flatten())


def channels_first(run: Run) -> Run:
    """`run` in the other layout than our encoder and decoder choose on a CPU, to show what the choice gives."""

    def laid_out_run(x: Tensor) -> Tensor:
        with mock.patch.object(memory_format, "memory_format", lambda device: torch.contiguous_format):
            return run(x)

    return laid_out_run


def make_reference(vqgan: VQModel, is_compiled: bool) -> Contender:
    folder = find_reference()
    if folder is None:
        raise NotMeasured("it is not in .reference/ (`python3 dev.py bench` puts it there)")
    theirs = load_reference_vqgan(folder, vqgan).vqgan
    runs = theirs.decode, lambda x: theirs.quant_conv(theirs.encoder(x))
    if is_compiled:  # it documents no setting; these are torch's own
        return Contender(*(torch.compile(run, dynamic=False) for run in runs), nearest=None)
    return Contender(*runs, lambda z: theirs.quantize(z)[2][2].flatten())


def make_diffusers(config: VQModelConfig, is_compiled: bool) -> Contender:
    """The package's model of the same shape; attention, which it has by blocks, at the lowest resolution.

    Compiled as its guide to fast inference has it, which gives the VAE channels last, too.
    """
    if importlib.util.find_spec("diffusers") is None:
        raise NotMeasured("the package diffusers is not installed")
    from diffusers import VQModel as Theirs  # seconds to import: only where it is measured

    plain = len(config.widths) - 1
    model: Any = Theirs(
        block_out_channels=config.widths,
        down_block_types=("DownEncoderBlock2D",) * plain + ("AttnDownEncoderBlock2D",),
        up_block_types=("AttnUpDecoderBlock2D",) + ("UpDecoderBlock2D",) * plain,
        layers_per_block=config.num_res_blocks,
        latent_channels=config.z_channels,
        num_vq_embeddings=config.n_embed,
        vq_embed_dim=config.embed_dim,
    ).eval()
    decode, encode = model.decode, model.encode
    if is_compiled:
        model.to(memory_format=torch.channels_last)
        decode, encode = (
            torch.compile(run, mode="max-autotune", fullgraph=True, dynamic=False) for run in (decode, encode)
        )
    return Contender(
        lambda z: decode(z, force_not_quantize=True, return_dict=False)[0],
        lambda x: encode(x, return_dict=False)[0],
        nearest=None,
    )


if __name__ == "__main__":
    main()
