"""Layers of the encoder and decoder over strips of rows: pictures of any size in bounded memory, and the same picture.

Cutting a picture into tiles and decoding each changes it: group normalization and attention see the whole of it. So
the layers are cut instead. Every layer runs over the whole picture before the next one does: it reads strips of rows
of its input, with as many rows around them as its kernel reaches, and writes strips of its output. The statistics of
a normalization are taken from the whole input first, which costs one more pass over memory and no convolution. What
has to be held at one time is the input of a residual block and what its convolutions make of it, two tensors of the
highest resolution, instead of the five or six of the plain path; 2048 x 2048 pixels at 128 channels are 2 GiB each.
The price in time is the rows computed twice, two for every strip of a convolution.

The other way, tiles that start at the low resolution, would hold no tensor of full size. It needs a pass for every
normalization, each of which computes all layers before it again: seven passes for the highest level of the published
decoder, four times its multiplications. And encoding would be as slow.

Small pictures and everything with gradients take the plain path. Attention goes by its queries.
"""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .memory import empty_picture

STRIP_FLOATS = 2**25  # numbers in a strip: up to 512 x 512 pixels at 128 channels run whole
CPU_STRIP_FLOATS = 2**22  # so many stay in its caches, which is faster than the whole, too
MIN_ROWS = 8  # of a strip, so that a very wide picture is not mostly computed twice

Layer = Callable[[Tensor], Tensor]


def strip_floats(device: torch.device) -> int:
    """Numbers in a strip; what has no more runs whole."""
    return CPU_STRIP_FLOATS if device.type == "cpu" else STRIP_FLOATS


def needs_strips(x: Tensor, growth: int = 1) -> bool:
    """Whether a layer that makes `growth` numbers of each number of `x` runs over strips of it."""
    return not torch.is_grad_enabled() and x.numel() * growth > strip_floats(x.device)


def strips(x: Tensor, growth: int = 1) -> Iterator[slice]:
    """The rows of `x`, (B, C, H, W), an even number at a time."""
    height = x.shape[2]
    rows = max(MIN_ROWS, strip_floats(x.device) * height // (x.numel() * growth) // 2 * 2)
    for top in range(0, height, rows):
        yield slice(top, min(top + rows, height))


def in_strips(layer: Layer, x: Tensor, halo: int, growth: int = 1, overwrite: bool = False) -> Tensor:
    """`layer` of `x`, (B, C, H, W), where an output row depends on `halo` rows around the input rows that it is of.

    `layer` may scale the height, and at the edges of the picture it pads by itself. With `overwrite` the result, of
    the same shape then, takes the place of `x`: each strip of it once the next one, which reads its rows, is made.
    """
    out = x if overwrite else None
    ready = place = x[:, :, :0]  # the strip before, and where it belongs
    for rows in strips(x, growth):
        top = max(0, rows.start - halo)
        strip = x[:, :, top : rows.stop + halo]
        made = layer(strip)
        if out is None:
            out = empty_picture(made, x.shape[2] * made.shape[2] // strip.shape[2], made.shape[3])
        place.copy_(ready)
        start, stop, skipped = (
            row * made.shape[2] // strip.shape[2] for row in (rows.start, rows.stop, rows.start - top)
        )
        ready, place = made[:, :, skipped : skipped + stop - start], out[:, :, start:stop]
    assert out is not None, "a picture has rows"
    place.copy_(ready)
    return out


def add_in_strips(layer: Layer, x: Tensor, to: Tensor) -> Tensor:
    """Add `layer` of `x`, which sees single cells, to the tensor `to`; both (B, C, H, W)."""
    for rows in strips(x):
        to[:, :, rows] += layer(x[:, :, rows])
    return to


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention of `q` to `k` and `v`, all (B, 1, L, C), for some queries at a time.

    So no device holds much of the matrix of weights, whether or not it has a kernel that does without one.
    """
    queries = q.split(max(1, strip_floats(q.device) // (len(q) * k.shape[2])), 2)
    return torch.cat([F.scaled_dot_product_attention(part, k, v) for part in queries], 2)


def normalization(norm: nn.GroupNorm, x: Tensor) -> Layer:
    """`norm` with the statistics of all of `x`, (B, C, H, W), as a layer of any part of it."""
    parts = list(strips(x))
    heights = torch.tensor([part.stop - part.start for part in parts], device=x.device)
    shares = heights.view(-1, 1, 1, 1) / x.shape[2]
    moments = [channel_moments(x[:, :, part].float()) for part in parts]
    grouped = (len(parts), len(x), norm.num_groups, -1)
    variances, means = (torch.stack(values).view(grouped) for values in zip(*moments, strict=True))
    mean = (shares * means).sum(0).mean(2, keepdim=True)  # (B, G, 1)
    variance = (shares * (variances + (means - mean).square())).sum(0).mean(2, keepdim=True)
    weight, bias = (value.view(norm.num_groups, -1) for value in affine(norm, x))
    scale = weight * (variance + norm.eps).rsqrt()  # (B, G, C / G)
    shift = bias - mean * scale
    scale, shift = (value.to(x.dtype).flatten(1)[:, :, None, None] for value in (scale, shift))
    return lambda part: (part * scale).add_(shift)


def channel_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Variance and mean of each channel of `x`, (B, C, H, W) float32; both (B, C)."""
    if x.device.type != "cpu":
        return torch.var_mean(x, (2, 3), correction=0)
    # Plain reductions are slow there where the channels lie side by side, those of a batch normalization are not.
    means, variances = zip(*(torch.batch_norm_update_stats(item, None, None, 0) for item in x.split(1)), strict=True)
    return torch.stack(variances), torch.stack(means)


def affine(norm: nn.GroupNorm, like: Tensor) -> tuple[Tensor, Tensor]:
    """Weight and bias of `norm`, (C,) float32, through its own forward so that a host can cast or fetch them."""
    signs = like.new_tensor([1.0, -1.0]).expand(1, like.shape[1], 2)  # mean 0, variance 1
    up, down = norm(signs).float().unbind(2)  # (1, C)
    return (up - down)[0] / 2 * (1 + norm.eps) ** 0.5, (up + down)[0] / 2
