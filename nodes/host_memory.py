"""Refusing what there is no memory for. On a CPU, where running out ends the host, nothing else would."""

from __future__ import annotations

import comfy.model_management
import torch

from ..taming.errors import TamingError

CPU = torch.device("cpu")


class NotEnoughMemory(TamingError):
    """A picture or a batch is too large for the memory at hand."""


def check_memory(memory_required: int, advice: str = "Use a smaller picture or a smaller batch.") -> None:
    """Raise NotEnoughMemory unless so many bytes are free beside the CPU."""
    free = comfy.model_management.get_free_memory(CPU)
    if memory_required > free:
        raise NotEnoughMemory(
            f"this takes about {memory_required / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are free. {advice}"
        )
