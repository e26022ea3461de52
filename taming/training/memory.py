"""Telling that memory ran out, which torch says differently on every device."""

import torch

# As of torch's own sources; Accelerate looks for the same ones. CUDA's libraries have allocations of their own.
PHRASES = (
    "out of memory",  # cuda, xpu, "MPS backend out of memory"
    "can't allocate memory",  # cpu, "DefaultCPUAllocator: can't allocate memory: you tried to allocate ..."
    "not enough memory",  # cpu on Windows, "DefaultCPUAllocator: not enough memory: you tried to allocate ..."
    "_STATUS_ALLOC_FAILED",  # CUBLAS_, CUDNN_
    "not enough GPU video memory",  # DirectML
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether less at a time could help."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(phrase in str(error) for phrase in PHRASES)
