"""Linear layers for sampling on a CPU, their weights prepacked once as its matrix kernels want them.

A product with a few rows takes as long as its weights take to be read. Kernels that find them prepacked, or half
or a quarter as large, are two to ten times as fast as `torch.nn.Linear` there; docs/performance.md has figures.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PrepackedWeight(Protocol):
    """A weight (O, I) and a bias (O,) or none, in the layout of some kernel."""

    quantizes_activations: ClassVar[bool]  # rounds what it multiplies, which magnifies float noise

    @classmethod
    def pack(cls, weight: Tensor, bias: Tensor | None) -> PrepackedWeight: ...

    def multiply(self, x: Tensor, gelu: bool) -> Tensor:
        """x (..., I) float32 to (..., O) float32, activated if `gelu`."""
        ...

    def add(self, x: Tensor, residual: Tensor) -> Tensor:
        """`residual` (..., O) plus the product of x (..., I)."""
        ...

    def unpack(self) -> Tensor:
        """The weight as it was, (O, I) float32, or as much of it as was kept."""
        ...


@dataclass(frozen=True)
class OneDNNWeight:
    """float32, or bfloat16 where the CPU multiplies in it, in the blocked layout of oneDNN."""

    quantizes_activations: ClassVar[bool] = False

    packed: Tensor
    bias: Tensor | None

    @classmethod
    def pack(cls, weight: Tensor, bias: Tensor | None) -> OneDNNWeight:
        return cls(torch.ops.mkldnn._reorder_linear_weight(weight.contiguous()), bias)

    def multiply(self, x: Tensor, gelu: bool) -> Tensor:
        after = "gelu" if gelu else "none"
        return torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, after, [], "none")

    def add(self, x: Tensor, residual: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise.binary(x, residual, self.packed, self.bias, "add")

    def unpack(self) -> Tensor:
        return self.packed.to_dense()


@dataclass(frozen=True)
class BFloat16Weight:
    """bfloat16 in the blocked layout of oneDNN; what is multiplied is rounded to bfloat16, sums are float32."""

    quantizes_activations: ClassVar[bool] = True

    inner: OneDNNWeight

    @classmethod
    def pack(cls, weight: Tensor, bias: Tensor | None) -> BFloat16Weight:
        return cls(OneDNNWeight.pack(weight.bfloat16(), None if bias is None else bias.bfloat16()))

    def multiply(self, x: Tensor, gelu: bool) -> Tensor:
        return self.inner.multiply(x.bfloat16(), gelu).float()

    def add(self, x: Tensor, residual: Tensor) -> Tensor:
        return residual + self.inner.multiply(x.bfloat16(), False)

    def unpack(self) -> Tensor:
        return self.inner.unpack().float()


@dataclass(frozen=True)
class Float16Weight:
    """float16 weights in the layout of FBGEMM, float32 arithmetic."""

    quantizes_activations: ClassVar[bool] = False

    packed: Any

    @classmethod
    def pack(cls, weight: Tensor, bias: Tensor | None) -> Float16Weight:
        return cls(torch.ops.quantized.linear_prepack_fp16(weight.contiguous(), bias))

    def multiply(self, x: Tensor, gelu: bool) -> Tensor:
        product = torch.ops.quantized.linear_dynamic_fp16(x, self.packed)
        return F.gelu(product) if gelu else product

    def add(self, x: Tensor, residual: Tensor) -> Tensor:
        return torch.ops.quantized.linear_dynamic_fp16(x, self.packed).add_(residual)

    def unpack(self) -> Tensor:
        return self.packed.unpack()[0].float()


@dataclass(frozen=True)
class Int8Weight:
    """int8 weights in the layout of FBGEMM, with a scale for each row.

    Every vector that is multiplied is rounded to 7 bits over its own range. The library's own dynamic product takes
    one range for all of them, so that a picture would depend on the others of its batch.
    """

    quantizes_activations: ClassVar[bool] = True

    packed: Any
    bias: Tensor | None

    @classmethod
    def pack(cls, weight: Tensor, bias: Tensor | None) -> Int8Weight:
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

    def add(self, x: Tensor, residual: Tensor) -> Tensor:
        product, scale = self._product(x)
        return torch.addcmul(residual if self.bias is None else residual + self.bias, product, scale)

    def _product(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The product of x (..., I) over the range of each of its vectors, (..., O), and that range, (..., 1)."""
        scale = torch.linalg.vector_norm(x, float("inf"), dim=-1, keepdim=True).clamp_(min=1e-30)
        # Eighth bits would overflow on CPUs that lack the newest instructions.
        product = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(x / scale, 1 / 63, 64, self.packed)
        return product, scale

    def unpack(self) -> Tensor:
        return self.packed.unpack()[0].dequantize()


FORMATS: dict[str, type[PrepackedWeight]] = {
    "fp32": OneDNNWeight,
    "bf16": BFloat16Weight,
    "fp16": Float16Weight,
    "int8": Int8Weight,
}


class PackedLinear(nn.Module):
    """One or more linear layers that read the same vectors, as a single product; for inference on a CPU only.

    Its `state_dict` is that of the layers it was made of, by their names beside it.

    Args:
        layers: by name, all with a bias or all without.
        format: a key of FORMATS.
        gelu: whether to activate the product.
    """

    def __init__(self, layers: Mapping[str, nn.Linear], format: str, gelu: bool = False) -> None:
        super().__init__()
        self.gelu = gelu
        self.sizes = {name: layer.out_features for name, layer in layers.items()}
        weight = torch.cat([layer.weight.detach().float() for layer in layers.values()])
        biases = [layer.bias.detach().float() for layer in layers.values() if layer.bias is not None]
        self.bias = torch.cat(biases) if biases else None
        self.weight = FORMATS[format].pack(weight, self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(..., I) to (..., the O of all layers)."""
        return self.weight.multiply(x, self.gelu)

    def add(self, x: Tensor, residual: Tensor) -> Tensor:
        """`residual` (..., O) plus the product of x (..., I), in one step if there is a kernel for that."""
        return self.weight.add(x, residual)

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        parent = prefix[: prefix[:-1].rfind(".") + 1]
        parts = {"weight": self.weight.unpack(), **({} if self.bias is None else {"bias": self.bias})}
        for parameter, whole in parts.items():
            for name, part in zip(self.sizes, whole.split(list(self.sizes.values())), strict=True):
                destination[f"{parent}{name}.{parameter}"] = part


@functools.cache
def can_pack(format: str) -> bool:
    """Whether this CPU and this torch have the kernels of `format`, and gain from them."""
    if format == "bf16" and not multiplies_bfloat16():
        return False
    layer, x = nn.Linear(64, 64), torch.ones(2, 64)
    try:
        with torch.no_grad():
            return torch.allclose(PackedLinear({"layer": layer}, format)(x), layer(x), atol=0.1)
    except (AttributeError, NotImplementedError, RuntimeError):  # no such operation, or none for this processor
        return False


def multiplies_bfloat16() -> bool:
    """Whether the CPU has instructions for bfloat16; without them it is several times slower than float32."""
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16"))
