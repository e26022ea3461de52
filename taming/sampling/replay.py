"""One token's way through a transformer as a CUDA graph: a GPU then waits for no Python between its kernels.

Written without a GPU at hand: its tests run where there is one, and no figure of ours is of it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from ..models.transformer import Transformer
    from ..modules.cache import KVCache

log = logging.getLogger(__name__)

MIN_STEPS = 16  # what recording costs is not made up for by fewer
WARM_UPS = 3  # libraries take their workspaces and choose their kernels in the first runs


class Replay:
    """`Transformer.step` over one cache, which holds something already; the same tensors for every token."""

    def __init__(self, transformer: Transformer, cache: KVCache, context: Tensor | None) -> None:
        device = transformer.pos_emb.device
        self.transformer, self.cache, self.context = transformer, cache, context
        self._tokens = torch.zeros(cache.batch_size, 1, dtype=torch.int64, device=device)
        self._place = torch.full((1,), cache.length, device=device)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._logits = torch.empty(0)

    def __call__(self, tokens: Tensor) -> Tensor:
        """Logits after `tokens`, (B, 1) -> (B, 1, V), which join the cache. The next call may overwrite them."""
        self._tokens.copy_(tokens)
        self._place.fill_(self.cache.length)
        self.cache.length += 1
        if self._graph is None:
            return self._step()
        self._graph.replay()
        return self._logits

    def record(self) -> None:
        """Record the step, to run what was recorded from now on.

        Raises: RuntimeError if the device cannot record it.
        """
        device = self._place.device
        current, side = torch.cuda.current_stream(device), torch.cuda.Stream(device)
        side.wait_stream(current)
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                self._step()
        current.wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with (
            torch.cuda.stream(current),  # a recording that fails leaves its own stream behind
            torch.cuda.graph(graph, capture_error_mode="thread_local"),  # other threads of a host may use the device
        ):
            self._logits = self._step()
        self._graph = graph

    def _step(self) -> Tensor:
        return self.transformer.step(self._tokens, self._place, self.cache, self.context)


def record(transformer: Transformer, cache: KVCache, context: Tensor | None) -> Replay | None:
    """The recorded step of `transformer` over what is left of `cache`; None where tokens are read as they come.

    The log says which it is, but for a CPU, which gains nothing.
    """
    if transformer.pos_emb.device.type == "cpu":
        return None
    reason = why_not(transformer)
    if not reason:
        replay = Replay(transformer, cache, context)
        try:
            replay.record()
        except RuntimeError as error:
            reason = f"recording it failed: {error}"
        else:
            log.info("Tokens are drawn with a CUDA graph.")
            return replay
    log.info("Tokens are drawn without a CUDA graph: %s.", reason)
    return None


def why_not(transformer: Transformer) -> str:
    """Why there can be no CUDA graph of `transformer`; empty if there can be one."""
    device = transformer.pos_emb.device
    if device.type != "cuda":
        return f"there are none on {device.type}"
    if torch.version.hip is not None:
        return "untested on ROCm"
    if any(parameter.device != device for parameter in transformer.parameters()):
        return f"not all of its weights are on {device}"
    return ""
