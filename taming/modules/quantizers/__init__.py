"""Quantizers: one paper per file, one result type."""

from .cosine import CosineQuantizer
from .dot import DotQuantizer
from .ema import EMAVectorQuantizer
from .gumbel import GumbelQuantizer
from .quantized import Quantized
from .remap import Remap
from .vector import VectorQuantizer

__all__ = [
    "CosineQuantizer",
    "DotQuantizer",
    "EMAVectorQuantizer",
    "GumbelQuantizer",
    "Quantized",
    "Remap",
    "VectorQuantizer",
]
