"""A GPT with prepacked weights: sampling on a CPU in float32, float16, bfloat16 or int8."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..gpt import GPT, Block
from ..kv_cache import LayerCache
from .packed_linear import PackedLinear
from .ragged import RaggedSelfAttention


@torch.no_grad()
def pack(gpt: GPT, format: str) -> None:
    """Replace the linear layers of `gpt` by packed ones, one after the other: no second copy is ever there.

    It can then be sampled and saved, but neither trained nor moved.
    """
    for block in gpt.blocks:
        assert isinstance(block, Block)
        _pack_block(block, format)
    gpt.head = PackedLinear({"head": gpt.head}, format)
    gpt.drop = nn.Identity()


def _pack_block(block: Block, format: str) -> None:
    attn, up, down = block.attn, block.mlp[0], block.mlp[2]
    assert isinstance(up, nn.Linear) and isinstance(down, nn.Linear)
    attn.qkv = PackedLinear({name: getattr(attn, name) for name in ("query", "key", "value")}, format)
    del attn.query, attn.key, attn.value
    attn.proj = PackedLinear({"proj": attn.proj}, format)
    attn.__class__ = _PackedSelfAttention
    if hasattr(block, "cross"):
        for name, layer in list(block.cross.named_children()):
            if isinstance(layer, nn.Linear):
                setattr(block.cross, name, PackedLinear({name: layer}, format))
    block.mlp[0] = PackedLinear({"0": up}, format, gelu=True)
    block.mlp[2] = PackedLinear({"2": down}, format)
    block.__class__ = _PackedBlock


class _PackedBlock(Block):
    """A block whose products add to the residual themselves, and activate."""

    def forward(
        self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None, cache: LayerCache | None = None
    ) -> Tensor:
        q, k, v = self.attn.project(self.ln1(x))
        x = _packed(self.attn.proj).add(self.attn.attend(q, k, v, mask, cache), x)
        if context is not None:
            x = _packed(self.cross.proj).add(self.cross.attend(self.ln_cross(x), context, cache), x)
        return _packed(self.mlp[2]).add(self.mlp[0](self.ln2(x)), x)


class _PackedSelfAttention(RaggedSelfAttention):
    """Self-attention with one product for queries, keys and values."""

    qkv: PackedLinear

    def project(self, x: Tensor) -> tuple[Tensor, ...]:
        batch, length, width = x.shape
        qkv = self.qkv(x).view(batch, length, 3, self.num_heads, width // self.num_heads)
        return qkv.permute(2, 0, 3, 1, 4).unbind()  # each (B, N, T, hs)


def _packed(layer: nn.Module) -> PackedLinear:
    assert isinstance(layer, PackedLinear)
    return layer


def quantizes_gpt_activations(gpt: GPT) -> bool:
    """Whether the layers of `gpt` round what they multiply, which magnifies float noise."""
    return isinstance(gpt.head, PackedLinear) and gpt.head.weight.quantizes_activations
