"""Segmentation maps: labels from pictures of them, and what a segmentation VQGAN is given."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import ConditionError
from .boxes import Box
from .vocabularies import Vocabulary

_MAX_DISTANCE = 100  # squared, of 8-bit RGB, to a color of the palette: JPEG noise is below, photographs are above
_MIN_SHARE = 0.3  # of the pixels that must show the palette; in photographs it is a few percent
_CHUNK = 32768  # colors compared at a time: 24 MB for 183 labels
_SHOWN = 5


def read_labels(image: Tensor, vocabulary: Vocabulary, num_labels: int) -> Tensor:
    """Labels, (B, H, W) int64, from a label image or a color picture, (B, H, W, 3) in [0, 1], whichever it is.

    A gray picture is a label image, unless it shows none but grays of the palette.

    Raises:
        ConditionError: see `labels_from_gray` and `labels_from_picture`.
    """
    pixels = _to_bytes(image)
    if bool((pixels == pixels[..., :1]).all()):
        grays = {color[0] for color in vocabulary.colors if len(set(color)) == 1}
        if not grays.issuperset(pixels.unique().tolist()):
            return labels_from_gray(image, num_labels)
    return labels_from_picture(image, vocabulary, num_labels)


def labels_from_gray(image: Tensor, num_labels: int) -> Tensor:
    """Labels, (B, H, W) int64, from a label image, (B, H, W, 3) in [0, 1], in which gray 1/255 is label 1.

    Raises:
        ConditionError: the picture has colors, or values that are no labels.
    """
    pixels = _to_bytes(image)
    labels = pixels[..., 0]
    if not bool((pixels == labels[..., None]).all()):
        raise ConditionError("A label image is gray, its pixel values are the labels; this one has colors.")
    values = labels.unique()
    wrong = values[values >= num_labels].tolist()
    if wrong:
        more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise ConditionError(
            f"The label image has values {', '.join(map(str, wrong[:_SHOWN]))}{more}, but the labels are "
            f"0 to {num_labels - 1}. Files of COCO-Stuff hold the label minus one, and 255 where there is none."
        )
    return labels


def labels_from_picture(image: Tensor, vocabulary: Vocabulary, num_labels: int) -> Tensor:
    """Labels, (B, H, W) int64, from a color picture, (B, H, W, 3) in [0, 1], drawn with the colors of `vocabulary`.

    A picture in none but these colors is read exactly. In others (JPEG, resized) a label counts where its color is
    nearly met over an area; pixels at edges get the nearest of the colors that count. Of labels that share a color,
    the first is meant.

    Raises:
        ConditionError: the vocabulary has no colors or not as many as there are labels, or most of the picture is not
            in its colors.
    """
    palette = torch.tensor(vocabulary.colors, device=image.device).reshape(-1, 3)  # (K, 3)
    if len(palette) != num_labels:
        raise ConditionError(
            f"The palette {vocabulary.name!r} has {len(palette)} colors and the transformer {num_labels} labels. "
            "Choose the palette that it was trained with."
        )
    return torch.stack([_picture_labels(picture, palette, vocabulary.name) for picture in _to_bytes(image)])


def labels_from_boxes(boxes: Sequence[Box], background: int, height: int, width: int) -> Tensor:
    """Labels, (H, W) int64: those of the boxes, later ones over earlier ones, and `background` where there is none.

    Edges go to the nearest pixel; what reaches beyond the picture is left out.
    """
    labels = torch.full((height, width), background)
    for box in boxes:
        left, right = (round(edge * width) for edge in (box.x, box.x + box.width))
        top, bottom = (round(edge * height) for edge in (box.y, box.y + box.height))
        labels[max(0, top) : max(0, bottom), max(0, left) : max(0, right)] = box.label
    return labels


def picture_of_labels(labels: Tensor, vocabulary: Vocabulary) -> Tensor:
    """The picture, (B, H, W, 3) in [0, 1], of labels, (B, H, W): what `labels_from_picture` reads."""
    return (torch.tensor(vocabulary.colors) / 255)[labels]


def one_hot(labels: Tensor, num_labels: int) -> Tensor:
    """What a segmentation VQGAN encodes: labels, (B, H, W), to (B, num_labels, H, W) float32 of zeros and ones.

    Raises:
        ConditionError: another shape, or labels that the model does not have.
    """
    if labels.dim() != 3 or labels.is_floating_point() or not labels.numel():
        raise ConditionError(
            f"Segmentation labels are whole numbers of shape (B, H, W); found {labels.dtype} {tuple(labels.shape)}."
        )
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= num_labels:
        raise ConditionError(f"The segmentation has labels from {low} to {high}; the model has 0 to {num_labels - 1}.")
    zeros = torch.zeros(len(labels), num_labels, *labels.shape[1:], device=labels.device)
    return zeros.scatter_(1, labels.long().unsqueeze(1), 1.0)


def _to_bytes(image: Tensor) -> Tensor:
    """The 8-bit values of a host image, (B, H, W, 3) int64."""
    if image.dim() != 4 or image.shape[-1] != 3 or not image.numel():
        raise ConditionError(f"A segmentation picture has shape (B, H, W, 3); found {tuple(image.shape)}.")
    if not bool(image.isfinite().all()):
        raise ConditionError("The segmentation picture has values that are NaN or infinite.")
    return (image.float() * 255).round().clamp(0, 255).long()


def _picture_labels(pixels: Tensor, palette: Tensor, name: str) -> Tensor:
    """Labels, (H, W), of one picture, (H, W, 3) in 8 bits: each of its colors is looked up once."""
    shifts = torch.tensor([16, 8, 0], device=pixels.device)
    codes, where, counts = (pixels << shifts).sum(-1).unique(return_inverse=True, return_counts=True)
    colors = codes[:, None] >> shifts & 255  # (U, 3)
    distance, nearest = _nearest(colors, palette)  # (U,)
    if not bool(distance.any()):
        return nearest[where]  # (H, W)
    labels = nearest.masked_fill(distance > _MAX_DISTANCE, -1)[where]  # (H, W)
    # Where regions blend, the mix may happen to be a third color, but never over an area.
    is_shown = _is_uniform(labels) & (labels >= 0)
    share = float(is_shown.float().mean())
    if share < _MIN_SHARE:
        common = colors[counts.topk(min(_SHOWN, len(counts))).indices].tolist()
        raise ConditionError(
            f"Only {100 * share:.0f}% of the picture has colors of the palette {name!r}; the commonest colors found "
            f"are {', '.join(str(tuple(color)) for color in common)}. Give it a segmentation map drawn with that "
            "palette, or a label image."
        )
    shown = labels[is_shown].unique()
    _, nearest_shown = _nearest(colors, palette[shown])
    return torch.where(is_shown, labels, shown[nearest_shown][where])


def _is_uniform(labels: Tensor) -> Tensor:
    """Which pixels, (H, W), have the label of all of their 8 neighbors."""
    values = labels.float()[None]
    lowest, highest = (sign * F.max_pool2d(sign * values, 3, stride=1, padding=1)[0] for sign in (-1, 1))
    return lowest == highest


def _nearest(colors: Tensor, palette: Tensor) -> tuple[Tensor, Tensor]:
    """Squared distance to the nearest row of the palette, and that row, of each color; (U,) both."""
    rows = palette.float()
    squares = rows.square().sum(-1)  # (K,)
    # Whole numbers below 2^24 throughout, so float32 is exact and a color of the palette is at distance 0.
    parts = [(squares - 2 * part @ rows.T).min(dim=1) for part in colors.float().split(_CHUNK)]
    distance = torch.cat([part.values for part in parts]) + colors.float().square().sum(-1)
    return distance, torch.cat([part.indices for part in parts])
