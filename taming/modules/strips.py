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

STRIP_FLOATS = 2**25  # numbers in a strip; what has no more, up to 512 x 512 pixels at 128 channels, runs whole
MIN_ROWS = 8  # of a strip, so that a very wide picture is not mostly computed twice

Layer = Callable[[Tensor], Tensor]


def needs_strips(x: Tensor, growth: int = 1) -> bool:
    """Whether a layer that makes `growth` numbers of each number of `x` runs over strips of it."""
    return not torch.is_grad_enabled() and x.numel() * growth > STRIP_FLOATS


def strips(x: Tensor, growth: int = 1) -> Iterator[slice]:
    """The rows of `x`, (B, C, H, W), an even number at a time."""
    height = x.shape[2]
    rows = max(MIN_ROWS, STRIP_FLOATS * height // (x.numel() * growth) // 2 * 2)
    for top in range(0, height, rows):
        yield slice(top, min(top + rows, height))


def in_strips(layer: Layer, x: Tensor, halo: int, growth: int = 1, overwrite: bool = False) -> Tensor:
    """`layer` of `x`, (B, C, H, W), where an output row depends on `halo` rows around the input rows that it is of.

    `layer` is given copies, which it may overwrite; it may scale the height, and at the edges of the picture it pads
    by itself. With `overwrite` the result, of the same shape then, takes the place of `x`.
    """
    out = x if overwrite else None
    above = x[:, :, :0]  # the rows before the strip, which `overwrite` has replaced in `x`
    for rows in strips(x, growth):
        strip = torch.cat([above, x[:, :, rows.start : rows.stop + halo]], 2)
        skipped, height = above.shape[2], strip.shape[2]
        above = strip[:, :, max(0, skipped + rows.stop - rows.start - halo) : skipped + rows.stop - rows.start].clone()
        made = layer(strip)
        if out is None:
            out = empty_picture(made, x.shape[2] * made.shape[2] // height, made.shape[3])
        start, stop, skipped = (row * made.shape[2] // height for row in (rows.start, rows.stop, skipped))
        out[:, :, start:stop] = made[:, :, skipped : skipped + stop - start]
    assert out is not None, "a picture has rows"
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
    queries = q.split(max(1, STRIP_FLOATS // (len(q) * k.shape[2])), 2)
    return torch.cat([F.scaled_dot_product_attention(part, k, v) for part in queries], 2)


def normalization(norm: nn.GroupNorm, x: Tensor) -> Layer:
    """`norm` with the statistics of all of `x`, (B, C, H, W), as a layer that overwrites any part of it."""
    groups = norm.num_groups
    moments = []
    for rows in strips(x):
        strip = x[:, :, rows].float().reshape(len(x), groups, -1)  # (B, G, C / G * rows * W)
        variance, mean = torch.var_mean(strip, 2, correction=0)
        moments.append((variance, mean, torch.full_like(mean, strip.shape[2])))
    variances, means, counts = (torch.stack(values) for values in zip(*moments, strict=True))  # (strips, B, G)
    share = counts / counts.sum(0)
    mean = (share * means).sum(0)
    variance = (share * (variances + (means - mean).square())).sum(0)
    weight, bias = affine(norm, x)
    per_channel = x.shape[1] // groups
    mean, variance = (value.repeat_interleave(per_channel, 1) for value in (mean, variance))  # (B, C)
    scale = weight * (variance + norm.eps).rsqrt()
    shift = bias - mean * scale
    scale, shift = (value.to(x.dtype)[:, :, None, None] for value in (scale, shift))
    return lambda strip: strip.mul_(scale).add_(shift)


def affine(norm: nn.GroupNorm, like: Tensor) -> tuple[Tensor, Tensor]:
    """Weight and bias of `norm`, (C,) float32, through its own forward so that a host can cast or fetch them."""
    signs = like.new_tensor([1.0, -1.0]).expand(1, like.shape[1], 2)  # mean 0, variance 1
    up, down = norm(signs).float().unbind(2)  # (1, C)
    return (up - down)[0] / 2 * (1 + norm.eps) ** 0.5, (up + down)[0] / 2
