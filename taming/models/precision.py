"""Readying a transformer for drawing tokens where it lies: the precision of its weights, and their layout."""

from __future__ import annotations

from typing import Literal, cast, get_args

import torch
from torch import nn

from ..errors import ConfigError
from ..modules.attention import CausalSelfAttention
from ..modules.packed import PackedLinear, can_pack
from .transformer import MLP, Transformer

Precision = Literal["auto", "fp32", "bf16", "fp16", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
ROUNDING = ("bf16", "int8")  # what is multiplied, too
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


def pack(transformer: Transformer, kind: str) -> None:
    """Replace the linear layers by packed ones, one after the other, so that no second copy is ever there."""
    transformer.rounds_inputs = kind in ROUNDING
    for module in [transformer, *transformer.blocks.modules()]:
        if isinstance(module, CausalSelfAttention):
            names = ("query", "key", "value")
            module.qkv = PackedLinear({name: getattr(module, name) for name in names}, kind)
            for name in names:
                delattr(module, name)
        for name, layer in list(module.named_children()):
            if isinstance(layer, nn.Linear):
                setattr(module, name, PackedLinear({name: layer}, kind))
            elif isinstance(layer, nn.Dropout):
                setattr(module, name, nn.Identity())  # which costs no call
        if isinstance(module, MLP) and isinstance(module[1], nn.GELU):
            cast(PackedLinear, module[0]).gelu = True
            module[1] = nn.Identity()
