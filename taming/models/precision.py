"""Readying a transformer for drawing tokens where it lies: the precision of its weights, and their layout."""

from __future__ import annotations

from typing import Literal, get_args

import torch

from ..errors import ConfigError
from ..modules.acceleration import can_pack, pack
from .transformer import Transformer

Precision = Literal["auto", "fp32", "bf16", "fp16", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@torch.no_grad()
def prepare_for_sampling(transformer: Transformer, precision: Precision = "auto") -> str:
    """Bring the weights of `transformer` into the form in which it draws tokens fastest on the device that it is on.

    On a CPU its linear layers are laid out as the matrix kernels want them, without a second copy; it can then be
    sampled and saved, but neither trained nor moved. Weights that were those of a mapped file are its own afterwards.
    Elsewhere it is cast. `auto` is float32 on a CPU and leaves the weights as they are elsewhere. A CPU computes in
    float32 between the layers whatever the precision.

    Returns: what was done, for a log; it tells where the precision asked for is not to be had or not worth having.

    Raises: ConfigError if there is no such precision.
    """
    if precision not in PRECISIONS:
        raise ConfigError(f"precision is {precision!r}; it must be one of {', '.join(PRECISIONS)}.")
    device = transformer.pos_emb.device
    if device.type != "cpu":
        if precision == "int8":
            return f"weights as they are: int8 is for CPUs, and this is {device}"
        if precision != "auto":
            transformer.to(DTYPES.get(precision, torch.float32))
        return f"weights in {precision}" if precision != "auto" else "weights as they are"
    kind = "fp32" if precision == "auto" else precision
    packed = next((each for each in (kind, "fp32") if can_pack(each)), None)
    if packed is not None:
        pack(transformer, packed)
    for weight in transformer.parameters():  # those left: the packed ones were read as they lay
        weight.data = weight.to(torch.float32, copy=True)
    if packed is None:
        return "weights in fp32, not packed: this CPU or this torch has no kernels for it"
    return f"weights packed in {packed}" + f": this CPU would not gain from {kind}" * (packed != kind)
