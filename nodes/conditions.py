"""The nodes for class labels and for prompts, and which node says what to which transformer."""

from __future__ import annotations

from comfy_api.latest import io

from ..taming import conditioning
from ..taming.conditioning import (
    BoxCondition,
    ClassCondition,
    ConditionConfig,
    DepthCondition,
    FixedPrefix,
    ImageCondition,
    SegmentationCondition,
    WordCondition,
    get_condition,
)
from ..taming.errors import ConditionError
from .errors import blaming
from .types import Condition, ConditionSocket, PromptTokens, TransformerHandle, TransformerSocket

CLASS_CONDITION, PROMPT_CONDITION = "Class Condition (Taming)", "Prompt Condition (Taming)"
IMAGE_CONDITION, BOX_CONDITION = "Image Condition (Taming)", "Box Condition (Taming)"
TEXT_CONDITION = "Text Condition (Taming)"
# The nodes for each kind of transformer, the usual one first.
NODES: dict[type[ConditionConfig], tuple[str, ...]] = {
    ClassCondition: (CLASS_CONDITION,),
    WordCondition: (PROMPT_CONDITION, CLASS_CONDITION),  # a class name is a prompt
    BoxCondition: (BOX_CONDITION,),
    SegmentationCondition: (IMAGE_CONDITION,),
    DepthCondition: (IMAGE_CONDITION,),
    ImageCondition: (IMAGE_CONDITION,),
}


class TamingClassCondition(io.ComfyNode):
    """A class label to a condition."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TamingClassCondition",
            display_name=CLASS_CONDITION,
            category="Taming/conditioning",
            description="Tells a transformer that was trained on labeled pictures which class to draw.",
            search_aliases=["class label", "class conditional", "imagenet", "prompt", "conditioning", "taming"],
            inputs=[
                TransformerSocket.Input("transformer", tooltip="The transformer whose classes the label names."),
                io.String.Input(
                    "label",
                    default="alpine",
                    placeholder="alpine, beach",
                    tooltip="A class name, a class number, or several separated by commas, which take turns in the "
                    "batch. The embedded model knows alpine, sunset_sea, desert, pine_forest, night, winter, aurora, "
                    "beach, city_night, autumn, volcano, canyon.",
                ),
            ],
            outputs=[
                ConditionSocket.Output("condition", display_name="CONDITION", tooltip="For Sample Tokens."),
            ],
        )

    @classmethod
    def execute(cls, transformer: TransformerHandle, label: str) -> io.NodeOutput:
        with blaming("transformer"):
            config = check_node(transformer, CLASS_CONDITION)
        label = str(label)  # a link may bring a number
        with blaming("label"):
            condition = get_condition(transformer.model, label=label)
        told = prompt_tokens(condition) if isinstance(config, WordCondition) else label
        return io.NodeOutput(Condition(told, transformer.name, config))


class TamingPromptCondition(io.ComfyNode):
    """A prompt to a condition."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TamingPromptCondition",
            display_name=PROMPT_CONDITION,
            category="Taming/conditioning",
            description="Tells a transformer that was trained on words what to draw, in a short prompt.",
            search_aliases=[
                "clip text encode",
                "prompt",
                "text to image",
                "negative prompt",
                "caption",
                "words",
                "taming",
            ],
            inputs=[
                TransformerSocket.Input("transformer", tooltip="The transformer that will draw by the prompt."),
                io.String.Input(
                    "prompt",
                    default="",
                    multiline=True,
                    dynamic_prompts=True,
                    placeholder="a red boat on a lake at sunset",
                    tooltip="What to draw, for the whole batch. Words that the transformer does not know are ignored, "
                    "and the editor names them. Empty draws whatever it likes.",
                ),
                io.String.Input(
                    "negative",
                    optional=True,
                    default="",
                    multiline=True,
                    dynamic_prompts=True,
                    placeholder="clouds, trees",
                    tooltip="What to avoid. It works with a guidance_scale above 1 in Sample Tokens; 2 to 4 is usual.",
                ),
            ],
            outputs=[
                ConditionSocket.Output("condition", display_name="CONDITION", tooltip="For Sample Tokens."),
            ],
        )

    @classmethod
    def execute(cls, transformer: TransformerHandle, prompt: str, negative: str = "") -> io.NodeOutput:
        with blaming("transformer"):
            config = check_node(transformer, PROMPT_CONDITION)
        condition = get_condition(transformer.model, prompt=prompt, negative=negative)
        return io.NodeOutput(Condition(prompt_tokens(condition), transformer.name, config))


def prompt_tokens(condition: conditioning.Condition) -> PromptTokens:
    """What is left of a condition of prompts without its transformer, so that the log tells of them only once."""
    assert isinstance(condition.prefix, FixedPrefix) and isinstance(condition.null_prefix, FixedPrefix)
    return PromptTokens(condition.prefix.tokens, condition.null_prefix.tokens)


def check_node(transformer: TransformerHandle, node: str) -> ConditionConfig:
    """What the transformer is told.

    Raises: ConditionError unless that is what `node` says.
    """
    config = transformer.config.condition
    right_nodes = NODES.get(type(config), ())
    if not right_nodes and transformer.config.context_dim is not None:
        right_nodes = (TEXT_CONDITION,)
    if not right_nodes:
        raise ConditionError(
            f"{transformer.name} needs no condition ({config.kind}). Leave that input of Sample Tokens open."
        )
    if node not in right_nodes:
        by = "text" if right_nodes[0] == TEXT_CONDITION else config.kind
        raise ConditionError(f"{transformer.name} was trained to draw by {by}. Use {right_nodes[0]} with it.")
    return config
