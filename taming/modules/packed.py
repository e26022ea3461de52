"""Linear layers for sampling on a CPU, their weights laid out once as its matrix kernels want them.

A product with a few rows takes as long as its weights take to be read. Kernels that find them in their own layout, or
half or a quarter as large, are two to ten times as fast as `torch.nn.Linear` there; docs/performance.md has figures.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Weights(Protocol):
    """A weight (O, I) and a bias (O,) or none, in a layout of their own."""

    @classmethod
    def pack(cls, weight: Tensor, bias: Tensor | None) -> Weights: ...

    def multiply(self, x: Tensor, gelu: bool) -> Tensor:
        """x (..., I) float32 to (..., O) float32, activated if `gelu`."""
        ...

    def add_product(self, x: Tensor, to: Tensor) -> Tensor:
        """The sum of the product of x (..., I) and of `to` (..., O)."""
        ...

    def unpack(self) -> Tensor:
        """The weight as it was, (O, I) float32, or as much of it as was kept."""
        ...


@dataclass(frozen=True)
class OneDNNWeights:
    """float32, or bfloat16 where the CPU multiplies in it, in the blocked layout of oneDNN."""

    packed: Tensor
    bias: Tensor | None

    @classmethod
    def pack(cls, weight: Tensor, bias: Tensor | None) -> OneDNNWeights:
        return cls(torch.ops.mkldnn._reorder_linear_weight(weight.contiguous()), bias)

    def multiply(self, x: Tensor, gelu: bool) -> Tensor:
        after = "gelu" if gelu else "none"
        return torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, after, [], "none")

    def add_product(self, x: Tensor, to: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise.binary(x, to, self.packed, self.bias, "add")

    def unpack(self) -> Tensor:
        return self.packed.to_dense()


@dataclass(frozen=True)
class BFloat16Weights:
    """bfloat16 in the blocked layout of oneDNN; what is multiplied is rounded to bfloat16, sums are float32."""

    inner: OneDNNWeights

    @classmethod
    def pack(cls, weight: Tensor, bias: Tensor | None) -> BFloat16Weights:
        return cls(OneDNNWeights.pack(weight.bfloat16(), None if bias is None else bias.bfloat16()))

    def multiply(self, x: Tensor, gelu: bool) -> Tensor:
        return self.inner.multiply(x.bfloat16(), gelu).float()

    def add_product(self, x: Tensor, to: Tensor) -> Tensor:
        return to + self.inner.multiply(x.bfloat16(), False)

    def unpack(self) -> Tensor:
        return self.inner.unpack().float()


@dataclass(frozen=True)
class Float16Weights:
    """float16 weights in the layout of FBGEMM, float32 arithmetic."""

    packed: Any

    @classmethod
    def pack(cls, weight: Tensor, bias: Tensor | None) -> Float16Weights:
        return cls(torch.ops.quantized.linear_prepack_fp16(weight.contiguous(), bias))

    def multiply(self, x: Tensor, gelu: bool) -> Tensor:
        product = torch.ops.quantized.linear_dynamic_fp16(x, self.packed)
        return F.gelu(product) if gelu else product

    def add_product(self, x: Tensor, to: Tensor) -> Tensor:
        return torch.ops.quantized.linear_dynamic_fp16(x, self.packed).add_(to)

    def unpack(self) -> Tensor:
        return self.packed.unpack()[0].float()


@dataclass(frozen=True)
class Int8Weights:
    """int8 weights in the layout of FBGEMM, with a scale for each row.

    Every vector that is multiplied is rounded to 7 bits over its own range. The library's own dynamic product takes
    one range for all of them, so that a picture would depend on the others of its batch.
    """

    packed: Any
    bias: Tensor | None

    @classmethod
    def pack(cls, weight: Tensor, bias: Tensor | None) -> Int8Weights:
        scales = (weight.abs().amax(1) / 127).clamp(min=1e-12).double()
        zeros = torch.zeros(len(weight), dtype=torch.int64)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of plans to move these tensors into a package of their own
            rounded = torch.quantize_per_channel(weight.contiguous(), scales, zeros, 0, torch.qint8)
            return cls(torch.ops.quantized.linear_prepack(rounded, None), bias)

    def multiply(self, x: Tensor, gelu: bool) -> Tensor:
        product, scale = self._product(x)
        product = product.mul_(scale) if self.bias is None else torch.addcmul(self.bias, product, scale)
        return F.gelu(product) if gelu else product

    def add_product(self, x: Tensor, to: Tensor) -> Tensor:
        product, scale = self._product(x)
        return torch.addcmul(to if self.bias is None else to + self.bias, product, scale)

    def _product(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The product of x (..., I) over the range of each of its vectors, (..., O), and that range, (..., 1)."""
        scale = torch.linalg.vector_norm(x, float("inf"), dim=-1, keepdim=True).clamp_(min=1e-30)
        # Eighth bits would overflow on CPUs that lack the newest instructions.
        product = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(x / scale, 1 / 63, 64, self.packed)
        return product, scale

    def unpack(self) -> Tensor:
        return self.packed.unpack()[0].dequantize()


KINDS: dict[str, type[Weights]] = {
    "fp32": OneDNNWeights,
    "bf16": BFloat16Weights,
    "fp16": Float16Weights,
    "int8": Int8Weights,
}


class PackedLinear(nn.Module):
    """One or more linear layers that read the same vectors, as a single product; for inference on a CPU only.

    Its `state_dict` is that of the layers it was made of, by their names beside it.

    Args:
        layers: by name, all with a bias or all without.
        kind: one of KINDS.
    """

    def __init__(self, layers: Mapping[str, nn.Linear], kind: str) -> None:
        super().__init__()
        self.gelu = False  # whether to activate the product
        self.sizes = {name: layer.out_features for name, layer in layers.items()}
        weight = torch.cat([layer.weight.detach().float() for layer in layers.values()])
        biases = [layer.bias.detach().float() for layer in layers.values() if layer.bias is not None]
        self.bias = torch.cat(biases) if biases else None
        self.weights = KINDS[kind].pack(weight, self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(..., I) to (..., the O of all layers)."""
        return self.weights.multiply(x, self.gelu)

    def add_product(self, x: Tensor, to: Tensor) -> Tensor:
        """`to` (..., O) and the product of x (..., I) together, in one step where there are kernels for that."""
        return self.weights.add_product(x, to)

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        parent = prefix[: prefix[:-1].rfind(".") + 1]
        parts = {"weight": self.weights.unpack(), **({} if self.bias is None else {"bias": self.bias})}
        for kind, whole in parts.items():
            for name, part in zip(self.sizes, whole.split(list(self.sizes.values())), strict=True):
                destination[f"{parent}{name}.{kind}"] = part


def add_product(layer: nn.Module, x: Tensor, to: Tensor, dropout: nn.Module) -> Tensor:
    """`to` and what `layer` makes of x; together, where it is packed. `dropout` acts in training, without packing."""
    return layer.add_product(x, to) if isinstance(layer, PackedLinear) else to + dropout(layer(x))


@functools.cache
def can_pack(kind: str) -> bool:
    """Whether this CPU and this torch have the kernels of `kind`, and gain from them."""
    if kind == "bf16" and not multiplies_bfloat16():
        return False
    layer, x = nn.Linear(64, 64), torch.ones(2, 64)
    try:
        with torch.no_grad():
            return torch.allclose(PackedLinear({"layer": layer}, kind)(x), layer(x), atol=0.1)
    except (AttributeError, NotImplementedError, RuntimeError):  # no such operation, or none for this processor
        return False


def multiplies_bfloat16() -> bool:
    """Whether the CPU has instructions for bfloat16; without them it is several times slower than float32."""
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16"))
