"""Scenes of inside_host.py in which memory runs out; imported when the pack is there."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import comfy.model_management
import torch
from taming_pack.nodes import codec, host, memory_estimates
from taming_pack.nodes import sample as sample_node
from taming_pack.nodes.preview import GrowingPicture
from taming_pack.nodes.types import Tokens, TransformerHandle, VQGANHandle
from torch import Tensor, nn


class Warnings(logging.Handler):
    """Keeps the warnings of the decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def fail_above(model: nn.Module, num_pixels: int) -> tuple[list[int], Callable[[], None]]:
    """Let the last layer of the decoder run out of memory, as a device would, for more than `num_pixels`."""
    failures: list[int] = []

    def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if inputs[0].shape[-1] * inputs[0].shape[-2] > num_pixels:
            failures.append(1)
            raise torch.OutOfMemoryError("emulated")

    return failures, model.decoder.conv_out.register_forward_pre_hook(hook).remove


def out_of_memory(vqgan: VQGANHandle, indices: Tensor) -> dict[str, Any]:
    with torch.inference_mode():
        whole = codec.decode(vqgan, indices)
        warnings = Warnings()
        codec.log.addHandler(warnings)
        failures, stop = fail_above(vqgan.model, 130 * 130)
        tiled = codec.decode(vqgan, indices)
        stop()
        codec.log.removeHandler(warnings)
    return {
        "failures": len(failures),
        "warnings": len(warnings.messages),
        "shape": list(tiled.shape),
        "mean_difference": (tiled - whole).abs().mean().item() / 2,
    }


def small_cpu(vqgan: VQGANHandle, indices: Tensor) -> dict[str, Any]:
    usual = comfy.model_management.get_free_memory
    comfy.model_management.get_free_memory = lambda device=None: memory_estimates.decode_bytes(vqgan.config, 16, 16)
    try:
        decoded = codec.decode(vqgan, indices[:1])
        codec.encode(vqgan, torch.zeros(1, 1024, 1024, 3))
    except host.NotEnoughMemory as error:
        return {"decoded": list(decoded.shape), "encode_error": str(error)}
    finally:
        comfy.model_management.get_free_memory = usual
    return {}


def small_for_a_batch(transformer: TransformerHandle, tokens: Tokens, draw: Callable[[], Tokens]) -> dict[str, Any]:
    """Draw `tokens` where there is memory for two at a time; then where there is none."""
    warnings = Warnings()
    whole = draw()
    picture = GrowingPicture(transformer, tokens)
    usual, room = comfy.model_management.get_free_memory, memory_estimates.sample_bytes(transformer.config, 2, False, 1)
    comfy.model_management.get_free_memory = lambda device=None: room + picture.memory
    sample_node.log.addHandler(warnings)
    try:
        parts = draw()
        room = 0
        draw()
    except host.NotEnoughMemory as error:
        equal = torch.equal(parts.indices, whole.indices)
        return {"equal": equal, "warnings": warnings.messages, "error": str(error)}
    finally:
        comfy.model_management.get_free_memory = usual
        sample_node.log.removeHandler(warnings)
    return {}


def no_room(vqgan: VQGANHandle, indices: Tensor) -> str:
    _, stop = fail_above(vqgan.model, 0)
    try:
        codec.decode(vqgan, indices)
    except host.NotEnoughMemory as error:
        return str(error)
    finally:
        stop()
    return ""
