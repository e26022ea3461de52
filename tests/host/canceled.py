"""Scenes of inside_host.py in which a prompt is canceled inside a picture; imported when the pack is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import comfy.model_management
import torch
from taming_pack.nodes import codec, host
from taming_pack.nodes.types import VQGANHandle
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


class Recorder(TorchFunctionMode):
    """Notes the operations of torch that run once a prompt is canceled."""

    def __init__(self) -> None:
        super().__init__()
        self.is_canceled = False
        self.operations: list[str] = []

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self.is_canceled:
            self.operations.append(function.__name__)
        return function(*args, **(kwargs or {}))


def operations_after_cancel(layer: nn.Module, run: Callable[[], object]) -> list[str] | None:
    """What still runs when the user cancels while `layer` does; None if nothing ends the run."""
    recorder = Recorder()

    def cancel(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        comfy.model_management.interrupt_current_processing(True)
        recorder.is_canceled = True

    handle = layer.register_forward_hook(cancel)
    try:
        with torch.inference_mode(), recorder:
            run()
    except host.Canceled:
        return recorder.operations
    finally:
        handle.remove()
        comfy.model_management.interrupt_current_processing(False)
    return None


def canceled(vqgan: VQGANHandle) -> dict[str, list[str] | None]:
    """Attention is what takes longest, and it is no layer of the host's."""
    model = vqgan.model
    tokens, image = torch.zeros(1, 48, 48, dtype=torch.int64), torch.zeros(1, 384, 384, 3)
    return {
        "decode": operations_after_cancel(model.decoder.mid.attn_1.v, lambda: codec.decode(vqgan, tokens)),
        "encode": operations_after_cancel(model.encoder.mid.attn_1.v, lambda: codec.encode(vqgan, image)),
    }
