"""Layers over chunks of rows: images of any size in bounded memory, and the same image.

Cutting an image into tiles and decoding each changes it: group normalization and attention see the whole of it. So
the layers are cut instead. Every layer runs over the whole image before the next one does: it reads chunks of rows of
its input, with as many rows around them as its kernel reaches, and writes chunks of its output. The statistics of a
normalization are taken from the whole input first, which costs one more pass over memory and no convolution. What has
to be held at one time is the input of a residual block and what its convolutions make of it, two tensors of the
highest resolution, instead of the five or six of the plain path; 2048 x 2048 pixels at 128 channels are 2 GiB each.
The price in time is the rows computed twice, two for every chunk of a convolution.

The other way, tiles that start at the low resolution, would hold no tensor of full size. It needs a pass for every
normalization, each of which computes all layers before it again: seven passes for the highest level of the published
decoder, four times its multiplications. And encoding would be as slow.

Attention goes by its queries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .memory_format import empty_like_format

CHUNK_ELEMENTS = 2**25  # up to 512 x 512 pixels at 128 channels run whole
CPU_CHUNK_ELEMENTS = 2**22  # so many stay in a CPU's caches, which is faster than the whole, too
MIN_ROWS = 8  # of a chunk, so that a very wide image is not mostly computed twice

Layer = Callable[[Tensor], Tensor]


def chunk_elements(device: torch.device) -> int:
    """Elements of a chunk; what has no more runs whole."""
    return CPU_CHUNK_ELEMENTS if device.type == "cpu" else CHUNK_ELEMENTS


def needs_chunks(x: Tensor, scale: int = 1) -> bool:
    """Whether a layer whose output has `scale` times the elements of `x` runs over chunks of it."""
    return x.numel() * scale > chunk_elements(x.device)


def row_chunks(x: Tensor, scale: int = 1) -> Iterator[slice]:
    """The rows of `x`, (B, C, H, W), an even number at a time."""
    height = x.shape[2]
    rows = max(MIN_ROWS, chunk_elements(x.device) * height // (x.numel() * scale) // 2 * 2)
    for top in range(0, height, rows):
        yield slice(top, min(top + rows, height))


def apply_chunked(layer: Layer, x: Tensor, halo: int, scale: int = 1, in_place: bool = False) -> Tensor:
    """Apply `layer` to row chunks of `x`, (B, C, H, W); `halo` is its receptive-field radius in rows.

    `layer` may scale the height, and pads by itself at the edges of the image. With `in_place` the result, then of the
    same shape, overwrites `x`: each chunk of it once the next one, which reads its rows, is computed.
    """
    out = x if in_place else None
    pending: tuple[Tensor, Tensor] | None = None  # rows of the result, and where they go
    for rows in row_chunks(x, scale):
        top = max(0, rows.start - halo)
        chunk = x[:, :, top : rows.stop + halo]
        result = layer(chunk)
        if out is None:
            out = empty_like_format(result, x.shape[2] * result.shape[2] // chunk.shape[2], result.shape[3])
        if pending is not None:
            pending[0].copy_(pending[1])
        start, stop, skipped = (
            row * result.shape[2] // chunk.shape[2] for row in (rows.start, rows.stop, rows.start - top)
        )
        pending = out[:, :, start:stop], result[:, :, skipped : skipped + stop - start]
    assert out is not None and pending is not None, "an image has rows"
    pending[0].copy_(pending[1])
    return out


def add_chunked(layer: Layer, x: Tensor, residual: Tensor) -> Tensor:
    """Add `layer` of `x`, which sees single positions, to `residual` in place; both (B, C, H, W)."""
    for rows in row_chunks(x):
        residual[:, :, rows] += layer(x[:, :, rows])
    return residual


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention of `q` to `k` and `v`, all (B, 1, L, C), for some queries at a time.

    So no device holds much of the matrix of weights, whether or not it has a kernel that does without one.
    """
    queries = q.split(max(1, chunk_elements(q.device) // (len(q) * k.shape[2])), 2)
    return torch.cat([F.scaled_dot_product_attention(part, k, v) for part in queries], 2)


def normalization(norm: nn.GroupNorm, x: Tensor) -> Layer:
    """`norm` with the statistics of all of `x`, (B, C, H, W), as a layer of any part of it."""
    parts = list(row_chunks(x))
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
    # In channels_last, plain reductions are slow on a CPU; those of batch normalization are not.
    means, variances = zip(*(torch.batch_norm_update_stats(item, None, None, 0) for item in x.split(1)), strict=True)
    return torch.stack(variances), torch.stack(means)


def affine(norm: nn.GroupNorm, like: Tensor) -> tuple[Tensor, Tensor]:
    """Weight and bias of `norm`, (C,) float32, through its own forward so that a host can cast or fetch them."""
    signs = like.new_tensor([1.0, -1.0]).expand(1, like.shape[1], 2)  # mean 0, variance 1
    up, down = norm(signs).float().unbind(2)  # (1, C)
    return (up - down)[0] / 2 * (1 + norm.eps) ** 0.5, (up + down)[0] / 2
