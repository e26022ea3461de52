"""One decode step of a GPT as a CUDA graph: the GPU then waits for no Python between its kernels.

Written without a GPU at hand: its tests run where there is one, and no figure of ours is of it.
"""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from ..gpt import GPT
from ..kv_cache import ContextCache, KVCache, LayerCache

log = logging.getLogger(__name__)

MIN_STEPS = 16  # fewer do not make up for what capturing costs
WARM_UPS = 3  # libraries take their workspaces and choose their kernels in the first runs


class _IndexedLayerCache(LayerCache):
    """All slots of a layer; the index on the device says which of them the one new token takes."""

    def __init__(self, index: Tensor, context: ContextCache, k: Tensor, v: Tensor) -> None:
        super().__init__(context)
        self._index, self._k, self._v = index, k, v

    def update(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        self._k.index_copy_(2, self._index, k)
        self._v.index_copy_(2, self._index, v)
        return self._k, self._v


class CUDAGraphStep:
    """Decodes one token over a cache that holds something already; the same tensors for every token."""

    def __init__(self, gpt: GPT, cache: KVCache, context: Tensor | None) -> None:
        assert cache.store is not None
        device = gpt.pos_emb.device
        self.gpt, self.cache, self.context = gpt, cache, context
        self._tokens = torch.zeros(cache.store.shape[2], 1, dtype=torch.int64, device=device)
        self._position = torch.full((1,), cache.length, device=device)
        self._layers = [
            _IndexedLayerCache(self._position, each, *layer)
            for each, layer in zip(cache.contexts, cache.store, strict=True)
        ]
        self._graph: torch.cuda.CUDAGraph | None = None
        self._logits = torch.empty(0)

    def __call__(self, tokens: Tensor) -> Tensor:
        """Logits after `tokens`, (B, 1) -> (B, 1, V), which join the cache. The next call may overwrite them."""
        self._tokens.copy_(tokens)
        self._position.fill_(self.cache.length)
        self.cache.length += 1
        if self._graph is None:
            return self._step()
        self._graph.replay()
        return self._logits

    def capture(self) -> None:
        """Capture the step, to replay it from now on.

        Raises: RuntimeError if the device cannot capture it.
        """
        device = self._position.device
        current, side = torch.cuda.current_stream(device), torch.cuda.Stream(device)
        side.wait_stream(current)
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                self._step()
        current.wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with (
            torch.cuda.stream(current),  # a capture that fails leaves its own stream behind
            torch.cuda.graph(graph, capture_error_mode="thread_local"),  # other threads of a host may use the device
        ):
            self._logits = self._step()
        self._graph = graph

    def _step(self) -> Tensor:
        """As `GPT.decode`, with all of the cache attended to under a mask: no shape changes from token to token."""
        gpt, position = self.gpt, self._position
        x = gpt.tok_emb(self._tokens)  # (B, 1, C)
        x = gpt.drop(x + gpt.pos_emb.index_select(1, position).to(x))
        mask = (torch.arange(self.cache.capacity, device=position.device) <= position).unsqueeze(0)  # (1, capacity)
        for block, layer in zip(gpt.blocks, self._layers, strict=True):
            x = block(x, self.context, mask, layer)
        return gpt.head(gpt.ln_f(x))


def capture_step(gpt: GPT, cache: KVCache, context: Tensor | None) -> CUDAGraphStep | None:
    """The captured step of `gpt` over what is left of `cache`; None if there can be none, or it would not pay.

    The log says why, except for a CPU.
    """
    if gpt.pos_emb.device.type == "cpu" or cache.capacity - cache.length < MIN_STEPS:
        return None
    reason = unsupported_reason(gpt)
    if not reason:
        step = CUDAGraphStep(gpt, cache, context)
        try:
            step.capture()
        except RuntimeError as error:
            reason = f"capturing it failed: {error}"
        else:
            log.info("Sampling with a CUDA graph.")
            return step
    log.info("Sampling without a CUDA graph: %s.", reason)
    return None


def unsupported_reason(gpt: GPT) -> str:
    """Why there can be no CUDA graph of `gpt`; empty if there can be one."""
    device = gpt.pos_emb.device
    if device.type != "cuda":
        return f"there are none on {device.type}"
    if torch.version.hip is not None:
        return "untested on ROCm"
    if any(parameter.device != device for parameter in gpt.parameters()):
        return f"not all of its weights are on {device}"
    return ""
