"""Seconds for one 128 x 128 sample of the embedded models, beside the reference on the same weights.

`python3 dev.py bench` runs it; by hand, PYTHONPATH must name the repository. Everything is timed in turns, in one
process, with torch's default number of threads; medians are compared, and samples during which others took more than a
tenth of the machine are dropped. `--quick` only checks that the script works. Random weights of larger shapes, GPT-2 in
its other settings and all precisions: bench_tokens.py.
"""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

import torch

from benchmarks import ASSETS
from benchmarks.peers import (
    ReferenceGPT,
    ReferenceVQGAN,
    draw_with_gpt2,
    give_gpt2,
    has_transformers,
    load_reference_vqgan,
    make_gpt2,
    make_reference_gpt,
)
from benchmarks.report import print_table, write_results
from benchmarks.rounds import Steps, ratio, summarize, take_turns
from devtools.reference import find_reference
from taming import get_condition, load_transformer, load_vqgan
from taming.conditioning import Condition, Window
from taming.models import VQModel

LABEL = "alpine"
OURS, REFERENCE, GPT2 = "taming", "reference, sample_with_past", "GPT-2 of transformers"
PARTS = ("tokens", "decode", "sample")


def main() -> None:
    options = parse_arguments()
    vqgan = load_vqgan(ASSETS / "scenes_vqgan.safetensors")
    transformer, _ = load_transformer(ASSETS / "scenes_class_transformer.safetensors")
    condition = get_condition(transformer, label=LABEL)
    steps = our_steps(condition, vqgan, options.tokens)
    agreement: dict[str, Any] = {}
    folder = find_reference()
    if folder is None:
        print("the reference is not in .reference/ (`python3 dev.py bench` puts it there): not measured")
    else:
        reference = make_reference_gpt(folder, transformer.config), load_reference_vqgan(folder, vqgan)
        reference[0].take_weights(transformer)
        agreement = check_agreement(condition, vqgan, *reference, options.tokens)
        steps |= reference_steps(condition, vqgan, *reference, options.tokens)
    if has_transformers():
        gpt2 = make_gpt2(transformer.config)
        give_gpt2(gpt2, transformer)
        steps[f"{GPT2}: tokens"] = partial(draw_with_gpt2, gpt2, prefix_of(condition), options.tokens)
    figures = {name: summarize(samples) for name, samples in take_turns(steps, options.rounds).items()}
    ratios = {f"{part} beside {peer}": ratio(figures, f"{peer}: {part}", f"{OURS}: {part}") for part, peer in pairs()}
    print_times(figures, ratios, options)
    write_results("sampling.json", options.quick, {"tokens": options.tokens, **agreement, "s": figures, "x": ratios})


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few tokens, one round: to check the script")
    parser.add_argument("--rounds", type=int, metavar="N", help="timed rounds (default 7)")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 7)
    options.tokens = 16 if options.quick else 256
    return options


def our_steps(condition: Condition, vqgan: VQModel, num_tokens: int) -> Steps:
    """Drawing the tokens, decoding a whole grid of them, and both."""
    transformer = condition.transformer
    grid = transformer.sample(condition)  # (1, h, w)
    decode = torch.no_grad()(vqgan.decode_indices)
    return {
        f"{OURS}: tokens": lambda: transformer.sample(condition, num_steps=num_tokens),
        f"{OURS}: decode": lambda: decode(grid),
        f"{OURS}: sample": lambda: (transformer.sample(condition, num_steps=num_tokens), decode(grid)),
    }


def reference_steps(
    condition: Condition, vqgan: VQModel, gpt: ReferenceGPT, theirs: ReferenceVQGAN, num_tokens: int
) -> Steps:
    prefix, shape = prefix_of(condition), condition.transformer.config.grid
    tokens = condition.transformer.sample(condition).flatten(1)  # (1, L)
    draw = partial(gpt.draw_tokens, prefix, num_tokens)
    decode = partial(theirs.decode, tokens, shape, vqgan.config.embed_dim)
    return {
        f"{REFERENCE}: tokens": draw,
        f"{REFERENCE}: decode": decode,
        f"{REFERENCE}: sample": lambda: (draw(), decode()),
    }


def prefix_of(condition: Condition) -> torch.Tensor:
    grid = condition.transformer.config.grid
    return condition.prefix.at(Window(0, 0, *grid, grid))


def check_agreement(
    condition: Condition, vqgan: VQModel, gpt: ReferenceGPT, theirs: ReferenceVQGAN, num_tokens: int
) -> dict[str, float]:
    """Show that both sides do the same work: greedy tokens equal, pixels equal within float noise."""
    transformer = condition.transformer
    ours = transformer.sample(condition, num_steps=num_tokens, temperature=0)
    expected = gpt.draw_tokens(prefix_of(condition), num_tokens, greedy=True)
    grid = transformer.sample(condition)
    with torch.no_grad():
        pixels = vqgan.decode_indices(grid)
    decoded = theirs.decode(grid.flatten(1), transformer.config.grid, vqgan.config.embed_dim)
    equal, error = (ours == expected).float().mean().item(), (pixels - decoded).abs().max().item()
    print(f"same weights: {equal:.1%} of {num_tokens} greedy tokens equal, pixels within {error:.1e}")
    return {"greedy_tokens_equal": equal, "largest_pixel_difference": error}


def pairs() -> list[tuple[str, str]]:
    return [*((part, REFERENCE) for part in PARTS), ("tokens", GPT2)]


def print_times(
    figures: dict[str, dict[str, Any]], ratios: dict[str, float | None], options: argparse.Namespace
) -> None:
    def cell(name: str, part: str) -> str:
        timing = figures.get(f"{name}: {part}")
        if timing is None:
            return "-"
        if "median_s" not in timing:
            return f"all {timing['dropped']} dropped"
        return f"{timing['median_s']:.3f} ({timing['min_s']:.3f}-{timing['max_s']:.3f})"

    rows = [[name, *(cell(name, part) for part in PARTS)] for name in (OURS, REFERENCE, GPT2)]
    title = f"Seconds for one sample on {torch.get_num_threads()} threads: median (least-most) of {options.rounds}"
    print_table(title, ["", f"{options.tokens} tokens", "decode", "whole sample"], rows)
    for name, value in ratios.items():
        print(f"  {name}: {'no figure' if value is None else f'{value:.2f} times as fast'}")


if __name__ == "__main__":
    main()
