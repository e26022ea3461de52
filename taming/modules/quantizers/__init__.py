"""Quantizers: one paper per file, one result type."""

from .cosine import CosineQuantizer
from .dot import DotQuantizer
from .ema import EMAVectorQuantizer
from .gumbel import GumbelQuantizer
from .quantized import Quantized
from .remap import Remap
from .usage import CodeUsage, restart_dead_codes
from .vector import VectorQuantizer

__all__ = [
    "CodeUsage",
    "CosineQuantizer",
    "DotQuantizer",
    "EMAVectorQuantizer",
    "GumbelQuantizer",
    "Quantized",
    "Remap",
    "VectorQuantizer",
    "restart_dead_codes",
]
