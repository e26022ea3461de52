"""Discrete-token image models: tokenizers, transformers over their tokens, and the checkpoints that hold them."""

from .checkpoints import load_checkpoint, load_transformer, load_vqgan
from .conditioning import get_condition
from .sampling import generate_image, recommended_options

__all__ = [
    "generate_image",
    "get_condition",
    "load_checkpoint",
    "load_transformer",
    "load_vqgan",
    "recommended_options",
]
