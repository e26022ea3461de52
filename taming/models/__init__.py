"""Whole models: the tokenizer and the transformer over its tokens."""

from ..conditioning import ConditionConfig
from .transformer import Transformer, TransformerConfig
from .vqgan import VQModel, VQModelConfig

__all__ = ["ConditionConfig", "Transformer", "TransformerConfig", "VQModel", "VQModelConfig"]
