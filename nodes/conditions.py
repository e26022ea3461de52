"""The node for class labels, and which node says what to which transformer."""

from __future__ import annotations

from comfy_api.latest import io

from ..taming.conditioning import MAP_KINDS, ConditionConfig, get_condition
from ..taming.errors import ConditionError
from .errors import blaming
from .types import Condition, ConditionSocket, TransformerHandle, TransformerSocket

TEXT_CONDITION = "Text Condition"
NODES = {"class": "Class Condition", "boxes": "Box Condition", **dict.fromkeys(MAP_KINDS, "Image Condition")}


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
        with blaming("transformer"):
            config = check_node(transformer, "Class Condition")
        with blaming("label"):
            get_condition(transformer.model, label=label)
        return io.NodeOutput(Condition(label, transformer.name, config))


def check_node(transformer: TransformerHandle, node: str) -> ConditionConfig:
    """What the transformer is told.

    Raises: ConditionError unless that is what `node` says.
    """
    config = transformer.config.condition
    right_node = NODES.get(config.kind)
    if right_node is None and transformer.config.context_dim is not None:
        right_node = TEXT_CONDITION
    if right_node is None:
        raise ConditionError(
            f"{transformer.name} needs no condition ({config.kind}). Leave that input of Transformer Sample open."
        )
    if right_node != node:
        by = "text" if right_node == TEXT_CONDITION else config.kind
        raise ConditionError(f"{transformer.name} was trained to draw by {by}. Use {right_node} with it.")
    return config
