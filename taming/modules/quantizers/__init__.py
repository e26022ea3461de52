"""Quantizers: one paper per file, one result type."""

from .ema import EMAVectorQuantizer
from .gumbel import GumbelQuantizer
from .quantized import Quantized
from .vector import VectorQuantizer

__all__ = ["EMAVectorQuantizer", "GumbelQuantizer", "Quantized", "VectorQuantizer"]
