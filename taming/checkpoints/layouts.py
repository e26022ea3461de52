"""Other names for the same encoder and decoder, as data, and the one place where they become the published ones."""

from __future__ import annotations

import re
from dataclasses import dataclass

from torch import Tensor

from ..errors import UnsupportedCheckpointError
from ..text import shorten


@dataclass(frozen=True)
class Layout:
    """How one family of files spells the keys of a VQGAN, as regular expressions over keys without prefix."""

    marker: str  # some key matches this, and none of the published layout does
    deepest_first: str  # what stands before the number of a level that is counted from the lowest resolution
    renames: tuple[tuple[str, str], ...]  # pattern and replacement, all of them tried in this order
    linear: str = ""  # renamed keys whose matrices are 1x1 convolutions in the published layout


LAYOUTS = (
    Layout(  # LlamaGen and Janus: tokenizer/tokenizer_image/vq_model.py
        marker=r"encoder\.conv_blocks\..+",
        deepest_first=r"decoder\.conv_blocks\.",
        renames=(
            (r"^encoder\.conv_blocks\.", "encoder.down."),
            (r"^decoder\.conv_blocks\.", "decoder.up."),
            (r"^(\w+\.(?:down|up)\.\d+)\.res\.", r"\1.block."),
            (r"^(\w+)\.mid\.0\.", r"\1.mid.block_1."),
            (r"^(\w+)\.mid\.1\.", r"\1.mid.attn_1."),
            (r"^(\w+)\.mid\.2\.", r"\1.mid.block_2."),
        ),
    ),
    Layout(  # diffusers: models/autoencoders/vae.py; attention in its newer and its older spelling
        marker=r"encoder\.down_blocks\..+",
        deepest_first=r"decoder\.up_blocks\.",
        renames=(
            (r"^encoder\.down_blocks\.", "encoder.down."),
            (r"^decoder\.up_blocks\.", "decoder.up."),
            (r"^(\w+\.(?:down|up)\.\d+)\.resnets\.", r"\1.block."),
            (r"^(\w+\.(?:down|up)\.\d+)\.attentions\.", r"\1.attn."),
            (r"\.(down|up)samplers\.0\.", r".\1sample."),
            (r"\.mid_block\.resnets\.0\.", ".mid.block_1."),
            (r"\.mid_block\.resnets\.1\.", ".mid.block_2."),
            (r"\.mid_block\.attentions\.0\.", ".mid.attn_1."),
            (r"\.conv_norm_out\.", ".norm_out."),
            (r"\.conv_shortcut\.", ".nin_shortcut."),
            (r"\.group_norm\.", ".norm."),
            (r"\.(?:to_q|query)\.", ".q."),
            (r"\.(?:to_k|key)\.", ".k."),
            (r"\.(?:to_v|value)\.", ".v."),
            (r"\.(?:to_out\.0|proj_attn)\.", ".proj_out."),
        ),
        linear=r".*\.attn(_1|\.\d+)\.(q|k|v|proj_out)\.weight",
    ),
)


def in_published_layout(weights: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """`weights` (no prefix) of the file `name` under the published keys and in the published shapes.

    Raises: UnsupportedCheckpointError if two keys of the file would become the same.
    """
    layout = next((layout for layout in LAYOUTS if any(re.fullmatch(layout.marker, key) for key in weights)), None)
    if layout is None:
        return weights
    numbered = re.compile(f"({layout.deepest_first})" + r"(\d{1,3})(?=\.)")
    last = max((int(match[2]) for match in map(numbered.match, weights) if match), default=0)
    renamed: dict[str, Tensor] = {}
    for key, tensor in weights.items():
        published = numbered.sub(lambda match: f"{match[1]}{last - int(match[2])}", key, count=1)
        for pattern, replacement in layout.renames:
            published = re.sub(pattern, replacement, published)
        if published in renamed:
            raise UnsupportedCheckpointError(
                f"{name} holds {shorten(published)} twice, the second time as {shorten(key)}: it mixes two layouts."
            )
        is_matrix = tensor.ndim == 2 and re.fullmatch(layout.linear, published)
        renamed[published] = tensor[:, :, None, None] if is_matrix else tensor
    return renamed
