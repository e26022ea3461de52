"""Nodes that load models: the embedded ones, or files from the model folders."""

from __future__ import annotations

from pathlib import Path

from comfy_api.latest import io

from ..taming.checkpoints import companion_files, plan_transformer, plan_vqgan
from ..taming.models import PRECISIONS, Precision
from . import host
from .errors import blaming
from .handles import transformer_handle, vqgan_handle
from .host_folders import find_tokenizers
from .model_cache import shared
from .types import TransformerHandle, TransformerSocket, VQGANSocket

CONFIG_TOOLTIP = (
    "YAML file that describes the model. auto takes a YAML file of the same name beside the weights, else what the "
    "weights file says about itself, else works it out from the shapes of the weights. published/ has the "
    "configurations of known checkpoints, for files that came without one."
)
NO_FIRST_STAGE = (
    "vqgan: the transformer file {name} neither holds nor names the VQGAN that its tokens come from. "
    "Load that one with Load VQGAN and connect it here."
)


class TamingLoadVQGAN(io.ComfyNode):
    """A weights file to a VQGAN under the host's management."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TamingLoadVQGAN",
            display_name="Load VQGAN",
            category="Taming/loaders",
            description="Loads a VQGAN, which turns pictures into grids of tokens and back.",
            search_aliases=["load vae", "image tokenizer", "load tokenizer", "codebook", "vq-vae", "taming"],
            inputs=[
                io.Combo.Input(
                    "vqgan_name",
                    options=host.weights_names(host.VQGAN_FOLDER),
                    tooltip="VQGAN weights: an embedded model, or a .safetensors, .ckpt, .pt or .pth file from "
                    "models/vqgan. Press R after adding files.",
                ),
                io.Combo.Input(
                    "config_name",
                    optional=True,
                    default=host.AUTO,
                    options=host.config_names(host.VQGAN_FOLDER),
                    tooltip=CONFIG_TOOLTIP,
                    advanced=True,
                ),
            ],
            outputs=[VQGANSocket.Output("vqgan", display_name="VQGAN", tooltip="For the encoding and decoding nodes.")],
        )

    @classmethod
    def execute(cls, vqgan_name: str, config_name: str = host.AUTO) -> io.NodeOutput:
        with blaming("config_name"):
            config = host.config_path(host.VQGAN_FOLDER, config_name)
        with blaming("vqgan_name"), host.loading():
            path = host.weights_path(host.VQGAN_FOLDER, vqgan_name)
            key = (vqgan_name, path, config, *_file_states(host.VQGAN_FOLDER, vqgan_name, config_name))
            handle = shared(key, vqgan_name, lambda: vqgan_handle(plan_vqgan(path, config), vqgan_name))
        return io.NodeOutput(handle)

    @classmethod
    def fingerprint_inputs(
        cls, vqgan_name: str | None, config_name: str | None = host.AUTO
    ) -> list[tuple[str, int, int]]:
        return _file_states(host.VQGAN_FOLDER, vqgan_name, config_name)


class TamingLoadTransformer(io.ComfyNode):
    """A weights file to a transformer under the host's management, with its first stage."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TamingLoadTransformer",
            display_name="Load Token Transformer",
            category="Taming/loaders",
            description="Loads a transformer, which draws tokens one by one, with the VQGAN that its tokens come from.",
            search_aliases=[
                "load checkpoint",
                "load diffusion model",
                "load transformer",
                "net2net",
                "autoregressive",
                "gpt",
                "taming",
            ],
            inputs=[
                io.Combo.Input(
                    "transformer_name",
                    options=host.weights_names(host.TRANSFORMER_FOLDER),
                    tooltip="Transformer weights: an embedded model, or a .safetensors, .ckpt, .pt or .pth file from "
                    "models/taming_transformers. Whole Net2Net checkpoints bring their VQGAN along. Press R after "
                    "adding files.",
                ),
                io.Combo.Input(
                    "config_name",
                    optional=True,
                    default=host.AUTO,
                    options=host.config_names(host.TRANSFORMER_FOLDER),
                    tooltip=CONFIG_TOOLTIP,
                    advanced=True,
                ),
                io.Combo.Input(
                    "precision",
                    optional=True,
                    default="auto",
                    options=list(PRECISIONS),
                    tooltip="Numbers that the weights are kept in. auto: bf16 on a GPU that computes in it, else fp32. "
                    "On a CPU, fp16 draws about twice as fast and now and then another token; int8 is faster still "
                    "with a large model and draws similar pictures.",
                    advanced=True,
                ),
            ],
            outputs=[
                TransformerSocket.Output("transformer", display_name="TRANSFORMER", tooltip="The token model."),
                VQGANSocket.Output(
                    "vqgan", display_name="VQGAN", tooltip="Its first stage: the VQGAN that its tokens belong to."
                ),
            ],
        )

    @classmethod
    def execute(
        cls, transformer_name: str, config_name: str = host.AUTO, precision: Precision = "auto"
    ) -> io.NodeOutput:
        with blaming("config_name"):
            config = host.config_path(host.TRANSFORMER_FOLDER, config_name)
        name = transformer_name
        with blaming("transformer_name"), host.loading():
            path = host.weights_path(host.TRANSFORMER_FOLDER, name)
            key = (name, path, config, precision, *_file_states(host.TRANSFORMER_FOLDER, name, config_name))
            handle = shared(key, name, lambda: _load_transformer(path, config, name, precision))
        return io.NodeOutput(handle, handle.first_stage or host.blocked(NO_FIRST_STAGE.format(name=name)))

    @classmethod
    def fingerprint_inputs(
        cls,
        transformer_name: str | None,
        config_name: str | None = host.AUTO,
        precision: str | None = "auto",
    ) -> list[tuple[str, int, int]]:
        return _file_states(host.TRANSFORMER_FOLDER, transformer_name, config_name)


def _file_states(folder: str, weights_name: str | None, config_name: str | None) -> list[tuple[str, int, int]]:
    """Name, time and size of the files that loading reads, so that a replaced file is read again.

    The host passes None for an input that is linked; what it is linked to has a fingerprint of its own.
    """
    if weights_name is None or config_name is None:
        return []
    weights = host.weights_path(folder, weights_name)
    config = host.config_path(folder, config_name)
    companions = companion_files(weights, find_tokenizers)
    return [host.file_state(file) for file in (weights, config or weights, *companions) if file.is_file()]


def _load_transformer(path: Path, config: Path | None, name: str, precision: Precision) -> TransformerHandle:
    return transformer_handle(plan_transformer(path, config, find_tokenizers), name, precision)
