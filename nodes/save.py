"""Nodes that put models where the loaders find them."""

from __future__ import annotations

import logging
from pathlib import Path

from comfy_api.latest import io, ui

from . import host
from .errors import blaming
from .host_events import show_text
from .training.copies import save_transformer, save_vqgan
from .types import TransformerHandle, TransformerSocket, VQGANHandle, VQGANSocket

log = logging.getLogger(__name__)

NAME_TOOLTIP = (
    "Name of the file, in models/{}; a number follows it, so that nothing is overwritten. my_models/cats makes a "
    "folder. Press R, and the loader lists it."
)


class TamingSaveVQGAN(io.ComfyNode):
    """A VQGAN to a file in models/vqgan."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TamingSaveVQGAN",
            display_name="Save VQGAN",
            category="Taming/loaders",
            description="Saves a VQGAN into models/vqgan, as a safetensors file that describes itself.",
            search_aliases=["save vae", "save tokenizer", "export vqgan", "save checkpoint", "taming"],
            is_output_node=True,
            inputs=[
                VQGANSocket.Input("vqgan", tooltip="The VQGAN to save."),
                io.String.Input("filename_prefix", default="my_vqgan", tooltip=NAME_TOOLTIP.format(host.VQGAN_FOLDER)),
            ],
            outputs=[],
        )

    @classmethod
    def execute(cls, vqgan: VQGANHandle, filename_prefix: str) -> io.NodeOutput:
        with blaming("filename_prefix"):
            path = host.numbered_path(host.VQGAN_FOLDER, filename_prefix, [".safetensors"])[0]
        save_vqgan(vqgan, path)
        return saved(path)


class TamingSaveTransformer(io.ComfyNode):
    """A transformer to a file in models/taming_transformers, its VQGAN beside it."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TamingSaveTransformer",
            display_name="Save Token Transformer",
            category="Taming/loaders",
            description="Saves a transformer into models/taming_transformers, with its VQGAN in a file beside it.",
            search_aliases=["save transformer", "export transformer", "save checkpoint", "save model", "taming"],
            is_output_node=True,
            inputs=[
                TransformerSocket.Input("transformer", tooltip="The transformer to save, with its VQGANs."),
                io.String.Input(
                    "filename_prefix",
                    default="my_transformer",
                    tooltip=NAME_TOOLTIP.format(host.TRANSFORMER_FOLDER),
                ),
            ],
            outputs=[],
        )

    @classmethod
    def execute(cls, transformer: TransformerHandle, filename_prefix: str) -> io.NodeOutput:
        with blaming("filename_prefix"):
            suffixes = [".safetensors", "vqgan.safetensors"]
            path, beside = host.numbered_path(host.TRANSFORMER_FOLDER, filename_prefix, suffixes)
        first_stage = None
        if transformer.first_stage is not None:
            save_vqgan(transformer.first_stage, beside)
            first_stage = beside
        with blaming("transformer"):
            save_transformer(transformer, path, first_stage)
        return saved(path)


def saved(path: Path) -> io.NodeOutput:
    """The output of a node that has written `path`: nothing, and the path on the node and in the log."""
    log.info("Saved %s.", path)
    text = f"Saved {path}"
    show_text(text)  # on the node; what `ui` has is for the history and whoever reads it
    return io.NodeOutput(ui=ui.PreviewText(text))
