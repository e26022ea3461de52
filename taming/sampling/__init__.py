"""How tokens are drawn: logits filters, seeds, the one sampling loop, edits of a grid."""

from ..configs.sampling import SamplingOptions
from .edits import MAX_PATCH, choose_cells, forget_cells, pad_cells
from .filters import filter_logits, recommended_options, sample_next
from .generate import Callback, generate, sample_grid
from .images import check_vocabulary, generate_image, transform_image
from .limits import MAX_CELLS, check_cells
from .schedule import max_open_windows
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
    "max_open_windows",
    "pad_cells",
    "recommended_options",
    "sample_grid",
    "sample_next",
    "sampling_threads",
    "transform_image",
]
