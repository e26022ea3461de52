"""Depth maps, as the models that are told one were trained to read them."""

import torch
from torch import Tensor

from ..errors import ConditionError

_MAX_CHROMA = 8 / 255  # what JPEG adds to gray


def depth_from_picture(image: Tensor) -> Tensor:
    """The depth that a gray picture shows, (B, H, W, 3) in [0, 1] to (B, H, W), near = white as depth nodes draw it.

    Raises:
        ConditionError: another shape, or a picture in false colors, whose order nobody can tell.
    """
    if image.dim() != 4 or image.shape[-1] != 3:
        raise ConditionError(f"A depth picture has shape (B, H, W, 3); found {tuple(image.shape)}.")
    chroma = (image.amax(dim=-1) - image.amin(dim=-1)).mean()
    if chroma > _MAX_CHROMA:
        raise ConditionError(
            f"The depth picture is in color (its channels differ by {100 * chroma:.0f}% on average). "
            "Give it a gray one, near = white; depth nodes have a setting for it."
        )
    return image.mean(dim=-1)


def normalize_depth(depth: Tensor) -> Tensor:
    """Scale each map to its own range: (B, H, W) or (B, 1, H, W), of any range, to (B, 1, H, W) float32 in [-1, 1].

    The models were trained on the inverse depth of MiDaS, where near is large: maps of Depth Anything, MiDaS and Zoe
    (near = white) go in as they come, metric depth has to be inverted first. A map of one value becomes -1, as in the
    reference (taming/data/imagenet.py, `preprocess_depth`).

    Raises:
        ConditionError: another shape, values that are not finite, or a range beyond float32.
    """
    if depth.dim() == 3:
        depth = depth.unsqueeze(1)  # (B, 1, H, W)
    if depth.dim() != 4 or depth.shape[1] != 1 or not depth.numel():
        raise ConditionError(f"A depth map has shape (B, H, W) or (B, 1, H, W); found {tuple(depth.shape)}.")
    depth = depth.float()
    low, high = torch.aminmax(depth.flatten(1), dim=1)  # (B,)
    span = high - low
    if not span.isfinite().all():  # NaN if any value is, infinite or NaN if any is infinite
        count = int((~depth.isfinite()).sum())
        found = f"{count} of {depth.numel()} values are NaN or infinite" if count else "its range overflows float32"
        raise ConditionError(
            f"The depth map cannot be scaled: {found}. Replace them first, the far ones (sky) with the smallest value."
        )
    low, span = low[:, None, None, None], span.clamp(min=1e-8)[:, None, None, None]  # (B, 1, 1, 1)
    return (depth - low) / span * 2 - 1
