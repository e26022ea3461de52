"""The node for what a text encoder made of words."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from ..taming.errors import ConditionError
from .conditions import TEXT_CONDITION
from .errors import blaming
from .types import Condition, ConditionSocket, ContextVectors, TransformerHandle, TransformerSocket


class TamingTextCondition(io.ComfyNode):
    """CONDITIONING to a condition."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TamingTextCondition",
            display_name=TEXT_CONDITION,
            category="Taming/conditioning",
            description="Tells a transformer that was trained on captions what to draw, in the words that a text "
            "encoder read.",
            search_aliases=["text to image", "prompt", "conditioning", "cross attention", "clip condition", "taming"],
            inputs=[
                TransformerSocket.Input("transformer", tooltip="The transformer that will draw by the words."),
                io.Conditioning.Input(
                    "conditioning",
                    tooltip="From a text encode node, with the text encoder that the transformer was trained with: one "
                    "for the whole batch, or one for each.",
                ),
            ],
            outputs=[
                ConditionSocket.Output("condition", display_name="CONDITION", tooltip="For Sample Tokens."),
            ],
        )

    @classmethod
    def execute(cls, transformer: TransformerHandle, conditioning: list) -> io.NodeOutput:
        with blaming("transformer"):
            if transformer.config.context_dim is None:
                raise ConditionError(
                    f"{transformer.name} was not trained on text. Connect one that was, or leave this node out."
                )
        with blaming("conditioning"):
            told = ContextVectors(context_vectors(conditioning, transformer.config.context_dim))
        return io.NodeOutput(Condition(told, transformer.name, transformer.config.condition))


def context_vectors(conditioning: list, dim: int) -> torch.Tensor:
    """The vectors (B, S, dim) of the host's CONDITIONING, float32 on the CPU.

    Raises: ConditionError unless it is one, of that width.
    """
    if len(conditioning) != 1:
        raise ConditionError(
            f"it holds {len(conditioning)} conditionings, as combining nodes make them, and a transformer attends to "
            "one. Connect a single text encode node."
        )
    vectors = conditioning[0][0]
    if vectors.shape[-1] != dim:
        raise ConditionError(
            f"its vectors have {vectors.shape[-1]} numbers, the transformer attends to {dim}. Use the text encoder "
            "that it was trained with."
        )
    return vectors.float().cpu()
