"""Nodes that say what a transformer is to draw."""

from __future__ import annotations

from comfy_api.latest import io

from ..taming.conditioning import get_condition
from .errors import blaming
from .types import Condition, ConditionSocket, TransformerHandle, TransformerSocket


class TamingClassCondition(io.ComfyNode):
    """A class label to a condition."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TamingClassCondition",
            display_name="Class Condition",
            category="Taming",
            description="Tells a transformer that was trained on labeled pictures which class to draw.",
            search_aliases=["class label", "class conditional", "label", "imagenet class", "taming"],
            inputs=[
                TransformerSocket.Input("transformer", tooltip="The transformer whose classes the label names."),
                io.String.Input(
                    "label",
                    default="0",
                    placeholder="alpine, beach",
                    tooltip="A class name, a class number, or several separated by commas, one for each picture of the "
                    "batch. The embedded model knows alpine, sunset_sea, desert, pine_forest, night, winter, aurora, "
                    "beach, city_night, autumn, volcano, canyon.",
                ),
            ],
            outputs=[
                ConditionSocket.Output("condition", display_name="CONDITION", tooltip="For Transformer Sample."),
            ],
        )

    @classmethod
    def execute(cls, transformer: TransformerHandle, label: str) -> io.NodeOutput:
        with blaming("label"):
            get_condition(transformer.model, label=label)
        return io.NodeOutput(Condition(label, transformer.name, transformer.config.condition))
