"""The autoencoder without gradients: channels_last on a CPU, large images in chunks, folded upsampling.

Each class here is the plain one with another `forward`, which takes the plain path wherever gradients are wanted.
`attach` gives them to the modules of a model that exists; its weights, keys and hooks stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from ..autoencoder import AttnBlock, Decoder, DownLevel, Downsample, Encoder, ResnetBlock, UpLevel, Upsample
from .chunked import Layer, add_chunked, apply_chunked, attention, needs_chunks, normalization
from .memory_format import to_memory_format
from .upsample_conv import upsample_conv_class


def attach(model: nn.Module) -> None:
    """Let the encoders and decoders in `model` take the fast path."""
    for module in list(model.modules()):
        fast_class = _FAST_CLASSES.get(type(module))
        if fast_class is not None:
            module.__class__ = fast_class
        if fast_class is FastUpsample and isinstance(module, FastUpsample) and module.with_conv:
            module.conv.__class__ = upsample_conv_class(type(module.conv))


class FastEncoder(Encoder):
    """The encoder."""

    def forward(self, pixels: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            return super().forward(pixels)
        h = conv(self.conv_in, to_memory_format(pixels))
        for level in self.down:
            for layer in _layers(level):  # not `level(h)`: its input would be held until its output is there
                h = layer(h)
        return norm_silu_conv(self.norm_out, self.conv_out, self.mid(h)).contiguous()


class FastDecoder(Decoder):
    """The decoder."""

    def forward(self, z: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            return super().forward(z)
        h = self.mid(conv(self.conv_in, to_memory_format(z)))
        for level in reversed(self.up):
            for layer in _layers(level):
                h = layer(h)
        return norm_silu_conv(self.norm_out, self.conv_out, h).contiguous()


def _layers(level: nn.Module) -> Iterator[nn.Module]:
    """The layers of a level in the order that they run."""
    assert isinstance(level, DownLevel | UpLevel)
    for i, block in enumerate(level.block):
        yield block
        if level.attn:
            yield level.attn[i]
    resample = level.downsample if isinstance(level, DownLevel) else level.upsample
    if resample is not None:
        yield resample


class FastResnetBlock(ResnetBlock):
    """A residual block that holds as few images at once as it can."""

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            return super().forward(x)
        # Nested, without a name for what is between them: it would be held until the second convolution is done.
        h = norm_silu_conv(
            self.norm2,
            lambda h: self.conv2(self.dropout(h)),
            norm_silu_conv(self.norm1, self.conv1, x),
            in_place=True,
        )
        if self.has_shortcut and needs_chunks(x):
            return add_chunked(self.nin_shortcut, x, residual=h)
        return _add(self.nin_shortcut(x) if self.has_shortcut else x, h)


class FastAttnBlock(AttnBlock):
    """Attention for some queries at a time."""

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            return super().forward(x)
        h = self.norm(x)
        q, k, v = (rearrange(f(h), "b c h w -> b 1 (h w) c").contiguous() for f in (self.q, self.k, self.v))
        h = rearrange(attention(q, k, v), "b 1 (h w) c -> b c h w", h=x.shape[2])
        return _add(x, self.proj_out(to_memory_format(h)))


class FastDownsample(Downsample):
    """Downsampling of large images in chunks."""

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled() or not self.with_conv or not needs_chunks(x):
            return super().forward(x)
        return apply_chunked(super().forward, x, halo=2)  # one row is read, but chunks and their halves begin evenly


class FastUpsample(Upsample):
    """Upsampling inside of the convolution."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.with_conv:
            return super().forward(x)
        if torch.is_grad_enabled() or not needs_chunks(x, scale=4):
            return self.conv(x)
        return apply_chunked(self.conv, x, halo=1, scale=4)


_FAST_CLASSES: dict[type[nn.Module], type[nn.Module]] = {
    Encoder: FastEncoder,
    Decoder: FastDecoder,
    ResnetBlock: FastResnetBlock,
    AttnBlock: FastAttnBlock,
    Downsample: FastDownsample,
    Upsample: FastUpsample,
}


def conv(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """A 3x3 convolution of `x`."""
    scale = max(1, layer.out_channels // layer.in_channels)
    return apply_chunked(layer, x, 1, scale) if needs_chunks(x, scale) else layer(x)


def norm_silu_conv(norm: nn.GroupNorm, conv: Layer, x: Tensor, in_place: bool = False) -> Tensor:
    """A 3x3 convolution of the normalized and activated `x`; `in_place` allows the result in its memory."""
    if needs_chunks(x):
        normalized = normalization(norm, x)
        return apply_chunked(lambda chunk: conv(F.silu(normalized(chunk), inplace=True)), x, 1, in_place=in_place)
    x = F.silu(norm(x), inplace=True)  # drops what came in
    return conv(x)


def _add(x: Tensor, h: Tensor) -> Tensor:
    """x + h, in the memory of `h` unless autocast left two dtypes."""
    return h.add_(x) if x.dtype == h.dtype else x + h
