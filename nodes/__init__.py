"""The nodes: taming's models in ComfyUI's graph. Every node is a schema and a few lines; the host is behind host.py."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from ..taming.text import accept_any_text
from .box_maps import TamingBoxesToMap
from .boxes import TamingBoxCondition
from .codec import TamingDecode, TamingEncode
from .conditions import TamingClassCondition, TamingPromptCondition
from .edits import TamingForgetTokens, TamingPadTokens
from .host_events import report_warnings
from .host_folders import register_folders
from .inputs import check_inputs
from .loaders import TamingLoadTransformer, TamingLoadVQGAN
from .maps import TamingImageCondition
from .sample import TamingSample
from .save import TamingSaveTransformer, TamingSaveVQGAN
from .text import TamingTextCondition
from .tokens import TamingEmptyTokens
from .training.recipe import TamingRecipe
from .training.transformer import TamingTrainTransformer
from .training.vqgan import TamingTrainVQGAN


class TamingExtension(ComfyExtension):
    """What ComfyUI loads."""

    async def on_load(self) -> None:
        """Make the model folders known before any schema lists them, and the editor aware of warnings."""
        package = __name__.rpartition(".")[0]
        accept_any_text(package)  # where an error cannot be logged, the host's thread that runs prompts ends
        register_folders()
        report_warnings(package)

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """Every node of the pack, in the order that a workflow uses them."""
        nodes: list[type[io.ComfyNode]] = [
            TamingLoadVQGAN,
            TamingLoadTransformer,
            TamingEncode,
            TamingEmptyTokens,
            TamingForgetTokens,
            TamingPadTokens,
            TamingClassCondition,
            TamingPromptCondition,
            TamingBoxesToMap,
            TamingImageCondition,
            TamingBoxCondition,
            TamingTextCondition,
            TamingSample,
            TamingDecode,
            TamingRecipe,
            TamingTrainVQGAN,
            TamingTrainTransformer,
            TamingSaveVQGAN,
            TamingSaveTransformer,
        ]
        return [check_inputs(node) for node in nodes]
