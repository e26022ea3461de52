"""The node that draws tokens."""

from __future__ import annotations

from comfy_api.latest import io

from ..taming import conditioning
from ..taming.errors import ConditionError, TokensError
from ..taming.sampling import SamplingOptions, check_vocabulary, generate
from . import host
from .budgets import sample_bytes
from .errors import blaming
from .preview import GrowingPicture
from .types import Condition, ConditionSocket, Tokens, TokensSocket, TransformerHandle, TransformerSocket


class TamingSample(io.ComfyNode):
    """TOKENS with unknown cells to TOKENS without."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TamingSample",
            display_name="Transformer Sample",
            category="Taming",
            description="Draws every unknown cell of a token grid, left to right and top to bottom; known cells stay.",
            search_aliases=["sample tokens", "generate tokens", "autoregressive sampler", "token sampler", "taming"],
            inputs=[
                TransformerSocket.Input("transformer", tooltip="The model that draws."),
                TokensSocket.Input("tokens", tooltip="Token grids of the size that the transformer was trained on."),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    step=1,
                    control_after_generate=True,
                    tooltip="Start of the random numbers: the same seed draws the same picture.",
                ),
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
    ) -> io.NodeOutput:
        options = SamplingOptions(temperature, top_k, top_p, guidance_scale=guidance_scale)
        with blaming("tokens", (TokensError, host.NotEnoughMemory)), blaming("condition", ConditionError):
            check_tokens(transformer, tokens)
            told = build_condition(transformer, condition, len(tokens.indices))
            picture = GrowingPicture(transformer, tokens)
            memory = sample_bytes(transformer.config, len(tokens.indices), options.guidance_scale != 1) + picture.memory
            with host.placed(transformer, memory, picture.companions) as device:
                indices, known = tokens.indices.to(device), tokens.known.to(device)
                indices = generate(told, indices, known, options=options, seed=seed, callback=picture)
        return io.NodeOutput(Tokens.of(indices, tokens.tokenizer))


def check_tokens(transformer: TransformerHandle, tokens: Tokens) -> None:
    """Raise TokensError unless the transformer was trained on this codebook."""
    check_vocabulary(transformer.model, tokens.tokenizer.num_codes)
    if transformer.first_stage is not None:
        tokens.check_tokenizer(transformer.first_stage.tokenizer)


def build_condition(
    transformer: TransformerHandle, condition: Condition | None, batch_size: int
) -> conditioning.Condition:
    """The condition in the transformer's own terms."""
    if condition is None:
        return conditioning.get_condition(transformer.model, batch_size=batch_size)
    if condition.config != transformer.config.condition:
        raise ConditionError(
            f"it was written for {condition.transformer}, which has other classes than {transformer.name}. "
            "Connect one transformer to both nodes."
        )
    return conditioning.get_condition(transformer.model, label=condition.label, batch_size=batch_size)
