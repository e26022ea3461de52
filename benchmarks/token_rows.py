"""What draws tokens in bench_tokens.py, each made on its own; as a program, the memory that one of them takes.

`python -m benchmarks.token_rows --only NAME`, with PYTHONPATH naming the repository: a process that holds nothing else.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from benchmarks.drawing import draw_grid
from benchmarks.machine import peak_mib, start_counting_peak
from benchmarks.peers import draw_with_gpt2, give_gpt2, has_transformers, make_gpt2, make_reference_gpt
from devtools.reference import find_reference
from taming import get_condition
from taming.models import PRECISIONS, Precision, Transformer, TransformerConfig, prepare_for_sampling
from taming.sampling import SamplingOptions

REFERENCE = "reference, sample_with_past"
GPT2 = "GPT-2 of transformers"
GPT2_STATIC = "GPT-2, static cache"
GPT2_COMPILED = "GPT-2, static cache, compiled"
PLAIN = "taming, as loaded"
SHAPES = {  # layers, heads, width
    "large": (24, 16, 1024),
    "small": (12, 8, 512),
    "tiny": (2, 2, 64),  # for --quick
}
VOCAB_SIZE = 1024
GRID = (16, 16)
TOP_K = 100
BYTES = {"fp32": 4, "bf16": 2, "fp16": 2, "int8": 1}  # of a weight

Draw = Callable[[int, int, bool], Tensor]  # batch, tokens, greedy -> (B, tokens)


class NotMeasured(Exception):
    """A contender that cannot be had here, and why."""


@dataclass(frozen=True)
class Contender:
    """Something that draws tokens."""

    draw: Draw
    weight_bytes: int  # that it reads for each token; the embeddings, norms and biases left out
    note: str = ""  # what it says of itself


def main() -> None:
    """Print the memory of the contender as the last line, in JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", required=True, choices=names(), metavar="NAME", help="; ".join(names()))
    parser.add_argument("--shape", choices=list(SHAPES), default="large")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--tokens", type=int, default=64)
    options = parser.parse_args()
    try:
        print(json.dumps(measure_memory(options)))
    except NotMeasured as reason:
        print(json.dumps({"not_measured": str(reason)}))


def measure_memory(options: argparse.Namespace) -> dict[str, float]:
    """MiB: of the whole process at its peak while it samples, and how much of that came with sampling."""
    config = make_config(options.shape)
    contender = make_contender(options.only, config)
    start_counting_peak()
    before = peak_mib()
    contender.draw(options.batch, options.tokens, False)
    return {
        "whole_mib": round(peak_mib(), 1),
        "grown_mib": round(peak_mib() - before, 1),
        "weights_mib": round(contender.weight_bytes / 2**20, 1),
    }


def names() -> list[str]:
    """All contenders, the one that the others are compared with first."""
    return [REFERENCE, GPT2, GPT2_STATIC, GPT2_COMPILED, *ours()]


def make_config(shape: str) -> TransformerConfig:
    layers, heads, width = SHAPES[shape]
    block_size = GRID[0] * GRID[1]  # a start token, and all tokens but the last
    return TransformerConfig(VOCAB_SIZE, block_size, layers, heads, width, grid=GRID)


def make_weights(config: TransformerConfig) -> Transformer:
    """A transformer with random weights, its positions too, which start at zero: else it would only repeat itself."""
    transformer = Transformer(config).eval()
    generator = torch.Generator().manual_seed(0)
    transformer.init_weights(generator)
    nn.init.normal_(transformer.pos_emb, std=0.02, generator=generator)
    return transformer


def make_contender(name: str, config: TransformerConfig, weights: Transformer | None = None) -> Contender:
    """The contender of this name with a copy of `weights`, or with random ones of its own.

    Raises:
        NotMeasured: it cannot be had here.
    """
    if name == REFERENCE:
        return make_reference(config, weights)
    if name in (GPT2, GPT2_STATIC, GPT2_COMPILED):
        return make_hugging_face(name, config, weights)
    return ours()[name](make_weights(config) if weights is None else copy.deepcopy(weights))


def ours() -> dict[str, Callable[[Transformer], Contender]]:
    """Our contenders by name; each is made of a transformer that is then its own, to change as it likes."""
    makers: dict[str, Callable[[Transformer], Contender]] = {PLAIN: make_plain}
    for precision in PRECISIONS:
        if precision != "auto":
            makers[f"taming, {precision}"] = partial(make_prepared, precision=precision)
    return makers


def make_plain(transformer: Transformer) -> Contender:
    def draw(batch: int, num_tokens: int, greedy: bool) -> Tensor:
        condition = get_condition(transformer, batch_size=batch)
        options = SamplingOptions(temperature=0.0 if greedy else 1.0, top_k=TOP_K)
        # One by one: how often a guess is right says nothing with random weights; bench_guesses.py has trained ones.
        return draw_grid(condition, options, 0, num_tokens=num_tokens).flatten(1)[:, :num_tokens]

    return Contender(draw, count_weights(transformer.config) * BYTES["fp32"])


def make_prepared(transformer: Transformer, precision: Precision) -> Contender:
    note = prepare_for_sampling(transformer, precision)
    if note != f"weights packed in {precision}":
        raise NotMeasured(note)
    return Contender(make_plain(transformer).draw, count_weights(transformer.config) * BYTES[precision], note)


def make_reference(config: TransformerConfig, weights: Transformer | None) -> Contender:
    folder = find_reference()
    if folder is None:
        raise NotMeasured("it is not in .reference/ (`python3 dev.py bench` puts it there)")
    reference = make_reference_gpt(folder, config)
    if weights is not None:
        reference.take_weights(weights)

    def draw(batch: int, num_tokens: int, greedy: bool) -> Tensor:
        return reference.draw_tokens(start_tokens(batch), num_tokens, TOP_K, greedy)

    return Contender(draw, count_weights(config) * BYTES["fp32"])


def make_hugging_face(name: str, config: TransformerConfig, weights: Transformer | None) -> Contender:
    if not has_transformers():
        raise NotMeasured("the package transformers is not installed")
    if name == GPT2_COMPILED:
        check_compiler()
    gpt2 = make_gpt2(config)
    if weights is not None:
        give_gpt2(gpt2, weights)
    if name == GPT2_COMPILED:
        torch.compiler.reset()  # what was compiled for other shapes counts towards the same limit
        # As the package's guide on inference has it; shapes are told to be fixed, which can only help.
        gpt2.forward = torch.compile(gpt2.forward, mode="reduce-overhead", fullgraph=True, dynamic=False)

    def draw(batch: int, num_tokens: int, greedy: bool) -> Tensor:
        is_static = name != GPT2
        return draw_with_gpt2(gpt2, start_tokens(batch), num_tokens, top_k=TOP_K, greedy=greedy, static=is_static)

    return Contender(draw, count_weights(config) * BYTES["fp32"])


def check_compiler() -> None:
    """Raises NotMeasured, with the reason, where torch.compile does not work."""
    try:
        torch.compile(torch.sin)(torch.ones(4))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()
        raise NotMeasured(
            f"torch.compile does not work here: {reason[0] if reason else type(error).__name__}"
        ) from None


def start_tokens(batch: int) -> Tensor:
    return torch.zeros(batch, 1, dtype=torch.int64)


def count_weights(config: TransformerConfig) -> int:
    """Weights of the matrices that every token is multiplied by."""
    return 12 * config.n_layer * config.n_embd**2 + config.vocab_size * config.n_embd


def count_operations(contender: Contender, first: int = 4, last: int = 12) -> dict[str, float]:
    """Operations of the framework per token, batch 1: those called from Python, and those with all that they call."""
    counts = [operations_in(lambda tokens=tokens: contender.draw(1, tokens, False)) for tokens in (first, last)]
    return {kind: round((counts[1][kind] - counts[0][kind]) / (last - first), 1) for kind in counts[0]}


def operations_in(step: Callable[[], object]) -> dict[str, int]:
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # its notes of every start would fill the screen
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        step()
    found = [event for event in profile.events() or () if "::" in event.name]
    called = [event for event in found if event.cpu_parent is None or "::" not in event.cpu_parent.name]
    return {"called": len(called), "dispatched": len(found)}


if __name__ == "__main__":
    main()
