"""Whole models: the tokenizer and the transformer over its tokens."""

from .precision import PRECISIONS, Precision, prepare_for_sampling
from .transformer import Transformer, TransformerConfig
from .vqgan import VQModel, VQModelConfig

__all__ = [
    "PRECISIONS",
    "Precision",
    "Transformer",
    "TransformerConfig",
    "VQModel",
    "VQModelConfig",
    "prepare_for_sampling",
]
