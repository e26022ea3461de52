"""Quantizers: one paper per file, one result type."""

from .base import Quantized
from .cosine import CosineQuantizer
from .ema import EMAVectorQuantizer
from .gumbel import GumbelQuantizer
from .ibq import DotQuantizer
from .nearest import VectorQuantizer
from .remap import Remap
from .usage import CodeUsage, restart_dead_codes

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
