"""How tokens are drawn: logits filters, seeds, the one sampling loop, edits of a grid."""

from .edits import MAX_PATCH, choose_cells, forget_cells, pad_cells
from .filters import SamplingOptions, filter_logits, recommended_options, sample_next
from .generate import Callback, generate, sample_grid, windows_at_once
from .images import check_vocabulary, generate_image, transform_image
from .limits import MAX_CELLS, check_cells
from .seeds import item_seed
from .threads import sampling_threads

__all__ = [
    "MAX_CELLS",
    "MAX_PATCH",
    "Callback",
    "SamplingOptions",
    "check_cells",
    "check_vocabulary",
    "choose_cells",
    "filter_logits",
    "forget_cells",
    "generate",
    "generate_image",
    "item_seed",
    "pad_cells",
    "recommended_options",
    "sample_grid",
    "sample_next",
    "sampling_threads",
    "transform_image",
    "windows_at_once",
]
