"""The node that draws tokens."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import torch
from comfy_api.latest import io
from torch import Tensor

from ..taming import conditioning
from ..taming.errors import ConditionError, TokensError
from ..taming.sampling import (
    SamplingOptions,
    check_vocabulary,
    generate,
    max_open_windows,
    recommended_options,
    sampling_threads,
)
from . import host
from .cancel import Cancelable
from .conditions import NODES, TEXT_CONDITION
from .errors import blaming
from .memory_estimates import sample_bytes
from .preview import GrowingPicture
from .types import (
    Condition,
    ConditionSocket,
    ContextVectors,
    MapTokens,
    PromptTokens,
    Tokens,
    TokensSocket,
    TransformerHandle,
    TransformerSocket,
)

log = logging.getLogger(__name__)

LONG_STEP = 2**25  # products for one token of each row; a step of fewer has ended before anybody has canceled
RECOMMENDED, AS_SET = "recommended", "as set"
SEARCHES = ["transformer sample", "ksampler", "sampler", "cfg", "denoise", "autoregressive", "generate", "taming"]


class TamingSample(io.ComfyNode):
    """TOKENS with unknown cells to TOKENS without."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TamingSample",
            display_name="Sample Tokens",
            category="Taming/sampling",
            description="Draws every unknown cell of a token grid, left to right and top to bottom; known cells stay.",
            search_aliases=SEARCHES,
            inputs=[
                TransformerSocket.Input("transformer", tooltip="The model that draws."),
                TokensSocket.Input("tokens", tooltip="Token grids of any size; a window slides over large ones."),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    step=1,
                    control_after_generate=True,
                    tooltip="Start of the random numbers: the same seed draws the same picture.",
                ),
                *filter_inputs(),
                ConditionSocket.Input(
                    "condition", optional=True, tooltip="What to draw, for a transformer that was trained to be told."
                ),
                io.Float.Input(
                    "guidance_scale",
                    optional=True,
                    default=1.0,
                    min=0.0,
                    max=30.0,
                    step=0.1,
                    tooltip="How strongly to follow the condition; 1 is off. 1.5 to 4 gives clearer classes and less "
                    "variety, at twice the time. Only for transformers trained with a null condition.",
                ),
                io.Combo.Input(
                    "settings",
                    options=[RECOMMENDED, AS_SET],
                    default=RECOMMENDED,
                    optional=True,
                    tooltip="recommended: what the model draws best with, in place of temperature, top_k, top_p and "
                    "guidance_scale; the log says the numbers. as set: the numbers above.",
                ),
            ],
            outputs=[TokensSocket.Output("tokens", display_name="TOKENS", tooltip="The grids, all cells known.")],
        )

    @classmethod
    def execute(
        cls,
        transformer: TransformerHandle,
        tokens: Tokens,
        seed: int,
        temperature: float,
        top_k: int,
        top_p: float,
        condition: Condition | None = None,
        guidance_scale: float = 1.0,
        settings: str = AS_SET,  # unlike in the editor: prompts from before there was a choice draw as they did
    ) -> io.NodeOutput:
        if settings == RECOMMENDED:
            options = recommend(transformer, condition)
        else:
            options = SamplingOptions(temperature, top_k, top_p, guidance_scale=guidance_scale)
        with blaming("tokens", (TokensError, host.NotEnoughMemory)), blaming("condition", ConditionError):
            check_tokens(transformer, tokens)
            told = build_condition(transformer, condition, tokens)
            return io.NodeOutput(Tokens.of(draw(transformer, told, tokens, options, seed), tokens.tokenizer))


def filter_inputs() -> list[io.Input]:
    """Which tokens may be drawn."""
    return [
        io.Float.Input(
            "temperature",
            default=1.0,
            min=0.0,
            max=10.0,
            step=0.05,
            tooltip="Lower is safer, higher wilder, 0 always takes the likeliest token. 0.8 to 1.1 is usual.",
        ),
        io.Int.Input(
            "top_k",
            default=0,
            min=0,
            max=65536,
            step=1,
            tooltip="Draw only from the k likeliest tokens; 0 is off. 100 to 600 makes pictures calmer.",
        ),
        io.Float.Input(
            "top_p",
            default=1.0,
            min=0.0,
            max=1.0,
            step=0.01,
            tooltip="Draw only from the likeliest tokens that together reach this probability; 1 is off. "
            "0.9 to 0.98 drops unlikely patches.",
        ),
    ]


def recommend(transformer: TransformerHandle, condition: Condition | None) -> SamplingOptions:
    """What the transformer recommends, which the log says too."""
    options = recommended_options(transformer.model)
    if condition is None:  # guidance would move away from what is drawn
        options = replace(options, guidance_scale=1.0)
    log.info("Sample Tokens: recommended settings of %s: %s.", transformer.name, options)
    return options


def draw(
    transformer: TransformerHandle,
    told: conditioning.Condition,
    tokens: Tokens,
    options: SamplingOptions,
    seed: int,
) -> Tensor:
    """All cells of `tokens`, (B, h, w) on the CPU: all pictures at once, or as many as there is memory for.

    What is drawn does not depend on how many that are.
    """
    batch = size = len(tokens.indices)
    drawn: list[Tensor] = []
    first = 0
    with GrowingPicture(transformer, tokens) as picture:
        while first < batch:
            items = slice(first, first + size)
            picture.first_item = first
            picture.part, picture.num_parts = len(drawn), len(drawn) - (first - batch) // size  # rounded up
            draw_items = partial(_draw_items, transformer, told, tokens, items, options, seed, picture)
            indices = draw_items() if size == 1 else host.unless_out_of_memory(draw_items)
            if indices is not None:
                drawn.append(indices)
                first += size
            else:
                size = -(-size // 2)
                log.warning("Sample Tokens: out of memory, drawing %d of %d pictures at a time.", size, batch)
    return torch.cat(drawn)


def _draw_items(
    transformer: TransformerHandle,
    told: conditioning.Condition,
    tokens: Tokens,
    items: slice,
    options: SamplingOptions,
    seed: int,
    picture: GrowingPicture,
) -> Tensor:
    indices, known = tokens.indices[items], tokens.known[items]
    guided = options.guidance_scale != 1
    windows = max_open_windows(transformer.model, known, guided, host.cancel_if_asked)
    memory = sample_bytes(transformer.config, len(indices), guided, windows) + picture.memory
    side_by_side = -(-known.shape[2] // transformer.config.grid[1])  # windows that are read in one step
    rows = len(indices) * side_by_side * (2 if guided else 1)
    weights = 12 * transformer.config.n_layer * transformer.config.n_embd**2
    with (
        host.placed(transformer, memory, picture.companions) as device,
        sampling_threads(transformer.model, rows),
        Cancelable() if rows * weights > LONG_STEP else nullcontext(),
    ):
        return generate(
            told.some(items),
            indices.to(device),
            known.to(device),
            options=options,
            seed=seed,
            first_item=items.start,
            callback=picture,
            check=host.cancel_if_asked,
        ).cpu()


def check_tokens(transformer: TransformerHandle, tokens: Tokens) -> None:
    """Raise TokensError unless the transformer was trained on this codebook."""
    check_vocabulary(transformer.model, tokens.tokenizer.num_codes)
    if transformer.first_stage is not None:
        tokens.check_tokenizer(transformer.first_stage.tokenizer)


def build_condition(
    transformer: TransformerHandle, condition: Condition | None, tokens: Tokens
) -> conditioning.Condition:
    """The condition in the transformer's own terms, one for each of `tokens`.

    Raises: ConditionError if there has to be one, or it does not belong to the transformer and the tokens.
    """
    model, batch_size = transformer.model, len(tokens.indices)
    if condition is None:
        check_needless(transformer)
        return conditioning.get_condition(model, batch_size=batch_size)
    if condition.config != transformer.config.condition:
        raise ConditionError(
            f"it was written for {condition.transformer}, which is told other things than {transformer.name}. "
            "Connect one transformer to both nodes."
        )
    told = condition.told
    if isinstance(told, str):
        return conditioning.get_condition(model, label=told, batch_size=batch_size)
    if isinstance(told, PromptTokens):
        prefixes = conditioning.FixedPrefix(told.prompt), conditioning.FixedPrefix(told.negative)
        return conditioning.Condition(model, *prefixes, context=None).expand(batch_size)
    if isinstance(told, MapTokens):
        check_map(transformer, told, tokens)
        prefix = conditioning.MapPrefix(told.indices, told.is_scaled)
        return conditioning.Condition(model, prefix, null_prefix=None, context=None).expand(batch_size)
    if isinstance(told, ContextVectors):
        return conditioning.get_condition(model, context=told.vectors, batch_size=batch_size)
    return conditioning.get_condition(model, boxes=told, batch_size=batch_size)


def check_needless(transformer: TransformerHandle) -> None:
    """Raise ConditionError if the transformer cannot draw without a condition."""
    config = transformer.config.condition
    has_null = config.null_tokens(transformer.config.vocab_size) is not None
    needs_text = transformer.config.context_dim is not None and not config.null_context
    nodes = NODES.get(type(config), ())
    if needs_text or (nodes and not has_null):
        kind, node = ("text", TEXT_CONDITION) if needs_text else (config.kind, nodes[0])
        raise ConditionError(f"{transformer.name} draws by {kind} and nothing is connected. Connect {node}.")


def check_map(transformer: TransformerHandle, maps: MapTokens, tokens: Tokens) -> None:
    """Raise ConditionError unless the maps mean something to the transformer and lie under the whole of `tokens`."""
    stage = transformer.cond_stage
    if stage is not None and stage.tokenizer.codebook != maps.tokenizer.codebook:
        raise ConditionError(
            f"these are tokens of {maps.tokenizer.name}, which mean other things to {transformer.name}. "
            "Connect one transformer to both nodes."
        )
    grid, trained = tuple(tokens.indices.shape[1:]), tuple(transformer.config.grid)
    size, factor = tuple(maps.indices.shape[1:]), maps.tokenizer.factor
    if maps.is_scaled and grid != trained:
        raise ConditionError(
            f"{transformer.name} scales every map to one size, so it draws pictures of {in_pixels(trained, factor)} "
            f"only; the tokens are one of {in_pixels(grid, factor)}. Give it empty tokens or a picture of that size."
        )
    if not maps.is_scaled and size != grid:
        raise ConditionError(
            f"the map has {in_pixels(size, factor)} and the tokens are a picture of {in_pixels(grid, factor)}. "
            "Give them the same size: scale the map (nearest-exact keeps its colors), or draw a picture of its size."
        )


def in_pixels(grid: tuple[int, ...], factor: int) -> str:
    """Width and height of a grid, (h, w), as a person reads them."""
    return f"{grid[1] * factor}x{grid[0] * factor} px"
