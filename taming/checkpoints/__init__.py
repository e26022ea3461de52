"""Weights files: reading them safely, telling what they hold, building models from them, writing them."""

from .convert import convert_checkpoint
from .embedded import embedded_models, replaced_models, weights_file
from .load import load_checkpoint, load_transformer, load_vqgan
from .metadata import codebook_fingerprint
from .plan_transformer import TransformerPlan, companion_files, plan_transformer
from .plan_vqgan import VQGANPlan, plan_vqgan
from .read import Checkpoint, read_checkpoint
from .save import save_checkpoint, write_weights

__all__ = [
    "Checkpoint",
    "TransformerPlan",
    "VQGANPlan",
    "codebook_fingerprint",
    "companion_files",
    "convert_checkpoint",
    "embedded_models",
    "load_checkpoint",
    "load_transformer",
    "load_vqgan",
    "plan_transformer",
    "plan_vqgan",
    "read_checkpoint",
    "replaced_models",
    "save_checkpoint",
    "weights_file",
    "write_weights",
]
