"""Seconds for one 128 x 128 sample, beside the reference's `sample_with_past` on the same weights.

`python3 dev.py bench` runs it; by hand, PYTHONPATH must name the repository. Everything is timed in turns, in one
process, with torch's default number of threads; medians are compared. `--quick` only checks that the script works.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks import ASSETS
from benchmarks.peers import Reference, draw_with_gpt2, load_reference, make_gpt2
from benchmarks.report import print_table, spread, write_results
from devtools.reference import find_reference
from taming import get_condition, load_transformer, load_vqgan
from taming.conditioning import Condition, Window
from taming.models import Transformer, VQModel

LABEL = "alpine"
OURS, REFERENCE, GPT2 = "taming", "reference, sample_with_past", "transformers, GPT-2 (random weights)"


def main() -> None:
    options = parse_arguments()
    vqgan = load_vqgan(ASSETS / "scenes_vqgan.safetensors")
    transformer, _ = load_transformer(ASSETS / "scenes_class_transformer.safetensors")
    folder = find_reference()
    reference = load_reference(folder, transformer, vqgan) if folder else None
    if reference is None:
        print("the reference is not in .reference/ (`python3 dev.py bench` puts it there): not measured")
    agreement = check_agreement(transformer, vqgan, reference, options.tokens) if reference else {}
    seconds = measure(contenders(transformer, vqgan, reference, options.tokens), options.rounds)
    figures = summarize(seconds)
    print_times(figures, options)
    write_results("sampling.json", options.quick, {"tokens": options.tokens, **agreement, "seconds": figures})


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few tokens, one round: to check the script")
    parser.add_argument("--rounds", type=int, metavar="N", help="timed rounds (default 7)")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 7)
    options.tokens = 16 if options.quick else 256
    return options


Step = Callable[[], Tensor]


def contenders(
    transformer: Transformer, vqgan: VQModel, reference: Reference | None, num_tokens: int
) -> dict[str, dict[str, Step]]:
    """What is timed: for each contender, drawing the tokens and decoding a whole grid of them."""
    grid, dim = transformer.config.grid, vqgan.config.embed_dim
    condition = get_condition(transformer, label=LABEL)
    prefix = prefix_of(condition)
    whole = transformer.sample(condition)  # (1, h, w)
    with_decoder = torch.no_grad()(vqgan.decode_indices)
    parts: dict[str, dict[str, Step]] = {
        OURS: {
            "tokens": lambda: transformer.sample(condition, num_steps=num_tokens),
            "decode": lambda: with_decoder(whole),
        }
    }
    if reference is not None:
        parts[REFERENCE] = {
            "tokens": lambda: reference.draw_tokens(prefix, num_tokens),
            "decode": lambda: reference.decode(whole.flatten(1), grid, dim),
        }
    gpt2 = make_gpt2(transformer)
    if gpt2 is not None:
        parts[GPT2] = {"tokens": lambda: draw_with_gpt2(gpt2, prefix, num_tokens)}
    return parts


def prefix_of(condition: Condition) -> Tensor:
    grid = condition.transformer.config.grid
    return condition.prefix.at(Window(0, 0, *grid, grid))


def check_agreement(transformer: Transformer, vqgan: VQModel, reference: Reference, num_tokens: int) -> dict[str, Any]:
    """Show that both sides do the same work: greedy tokens equal, pixels equal within float noise."""
    condition = get_condition(transformer, label=LABEL)
    ours = transformer.sample(condition, num_steps=num_tokens, temperature=0)
    theirs = reference.draw_tokens(prefix_of(condition), num_tokens, greedy=True)
    grid = transformer.sample(condition)
    with torch.no_grad():
        pixels = vqgan.decode_indices(grid)
    error = (pixels - reference.decode(grid.flatten(1), transformer.config.grid, vqgan.config.embed_dim)).abs().max()
    equal = (ours == theirs).float().mean().item()
    print(f"same weights: {equal:.1%} of {num_tokens} greedy tokens equal, pixels within {error:.1e}")
    return {"greedy_tokens_equal": equal, "largest_pixel_difference": error.item()}


def measure(parts: dict[str, dict[str, Step]], rounds: int) -> dict[str, dict[str, list[float]]]:
    """Time every part of every contender once per round, in turns, after one round that does not count."""
    seconds: dict[str, dict[str, list[float]]] = {name: {part: [] for part in steps} for name, steps in parts.items()}
    for round_number in range(rounds + 1):
        names = list(parts) if round_number % 2 else list(reversed(parts))  # nobody always goes first
        for name in names:
            for part, step in parts[name].items():
                start = time.perf_counter()
                step()
                if round_number:
                    seconds[name][part].append(time.perf_counter() - start)
    return seconds


def summarize(seconds: dict[str, dict[str, list[float]]]) -> dict[str, dict[str, Any]]:
    figures: dict[str, dict[str, Any]] = {}
    for name, parts in seconds.items():
        figures[name] = {part: spread(times) for part, times in parts.items()}
        if "decode" in parts:
            figures[name]["sample"] = spread([sum(pair) for pair in zip(*parts.values(), strict=True)])
    for name in (REFERENCE, GPT2):
        if name in seconds:
            part = "sample" if "sample" in figures[name] else "tokens"
            figures[OURS][f"times_faster_than {name} ({part})"] = round(
                median_of(figures, name, part) / median_of(figures, OURS, part), 2
            )
    return figures


def median_of(figures: dict[str, dict[str, Any]], name: str, part: str) -> float:
    return figures[name][part]["median_s"]


def print_times(figures: dict[str, dict[str, Any]], options: argparse.Namespace) -> None:
    def cell(name: str, part: str) -> str:
        timing = figures[name].get(part)
        return f"{timing['median_s']:.3f} ({timing['min_s']:.3f}-{timing['max_s']:.3f})" if timing else "-"

    header = ["", f"{options.tokens} tokens", "decode", "whole sample"]
    rows = [[name, *(cell(name, part) for part in ("tokens", "decode", "sample"))] for name in figures]
    title = f"Seconds for one sample on {torch.get_num_threads()} threads: median (least-most) of {options.rounds}"
    print_table(title, header, rows)


if __name__ == "__main__":
    main()
