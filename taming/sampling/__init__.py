"""How tokens are drawn: logits filters, seeds, the one sampling loop, edits of a grid."""

from .edits import choose_cells, forget_cells, pad_cells
from .filters import SamplingOptions, filter_logits, sample_next
from .generate import Callback, generate, sample_grid, windows_at_once
from .images import check_vocabulary, generate_image, transform_image
from .seeds import item_seed

__all__ = [
    "Callback",
    "SamplingOptions",
    "check_vocabulary",
    "choose_cells",
    "filter_logits",
    "forget_cells",
    "generate",
    "generate_image",
    "item_seed",
    "pad_cells",
    "sample_grid",
    "sample_next",
    "transform_image",
    "windows_at_once",
]
