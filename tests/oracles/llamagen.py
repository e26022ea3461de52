"""The tokenizer of LlamaGen and Janus, from FoundationVision/LlamaGen `tokenizer/tokenizer_image/vq_model.py`.

The module tree is theirs, so the keys of `state_dict()` are those of the published files.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class VQModel(nn.Module):
    def __init__(
        self,
        ch: int,
        ch_mult: Sequence[int],
        z_channels: int,
        codebook_size: int,
        codebook_embed_dim: int,
        res: int = 2,
    ) -> None:
        super().__init__()
        self.encoder = Encoder(ch, ch_mult, z_channels, res)
        self.decoder = Decoder(ch, ch_mult, z_channels, res)
        self.quantize = VectorQuantizer(codebook_size, codebook_embed_dim)
        self.quant_conv = nn.Conv2d(z_channels, codebook_embed_dim, 1)
        self.post_quant_conv = nn.Conv2d(codebook_embed_dim, z_channels, 1)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.quantize(self.quant_conv(self.encoder(x)))

    def decode(self, quant: Tensor) -> Tensor:
        return self.decoder(self.post_quant_conv(quant))


class VectorQuantizer(nn.Module):
    def __init__(self, n_e: int, e_dim: int) -> None:
        super().__init__()
        self.e_dim = e_dim
        self.embedding = nn.Embedding(n_e, e_dim)
        self.register_buffer("codebook_used", torch.zeros(65536))

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        z = F.normalize(torch.einsum("bchw->bhwc", z).contiguous(), p=2, dim=-1)
        flat = F.normalize(z.view(-1, self.e_dim), p=2, dim=-1)
        embedding = F.normalize(self.embedding.weight, p=2, dim=-1)
        d = (flat**2).sum(1, keepdim=True) + (embedding**2).sum(1) - 2 * torch.einsum("bd,nd->bn", flat, embedding)
        indices = d.argmin(1)
        z_q = z + (embedding[indices].view(z.shape) - z)
        return torch.einsum("bhwc->bchw", z_q), indices

    def get_codebook_entry(self, indices: Tensor, shape: tuple[int, int, int, int]) -> Tensor:
        batch, dim, height, width = shape
        entries = F.normalize(self.embedding.weight, p=2, dim=-1)[indices.flatten()]
        return entries.reshape(batch, height, width, dim).permute(0, 3, 1, 2).contiguous()


class Encoder(nn.Module):
    def __init__(self, ch: int, ch_mult: Sequence[int], z_channels: int, res: int) -> None:
        super().__init__()
        last = len(ch_mult) - 1
        width = ch
        self.conv_in = nn.Conv2d(3, ch, 3, 1, 1)
        self.conv_blocks = nn.ModuleList()
        for level, mult in enumerate(ch_mult):
            block = level_of_blocks(width, ch * mult, res, level == last)
            width = ch * mult
            if level != last:
                block.downsample = Downsample(width)
            self.conv_blocks.append(block)
        self.mid = nn.ModuleList([ResnetBlock(width, width), AttnBlock(width), ResnetBlock(width, width)])
        self.norm_out = normalize(width)
        self.conv_out = nn.Conv2d(width, z_channels, 3, 1, 1)

    def forward(self, h: Tensor) -> Tensor:
        h = self.conv_in(h)
        for level, block in enumerate(self.conv_blocks):
            h = run_level(block, h)
            if level != len(self.conv_blocks) - 1:
                h = block.downsample(h)
        for layer in self.mid:
            h = layer(h)
        return self.conv_out(nonlinearity(self.norm_out(h)))


class Decoder(nn.Module):
    def __init__(self, ch: int, ch_mult: Sequence[int], z_channels: int, res: int) -> None:
        super().__init__()
        last = len(ch_mult) - 1
        width = ch * ch_mult[last]
        self.conv_in = nn.Conv2d(z_channels, width, 3, 1, 1)
        self.mid = nn.ModuleList([ResnetBlock(width, width), AttnBlock(width), ResnetBlock(width, width)])
        self.conv_blocks = nn.ModuleList()  # the order they run in: lowest resolution first
        for level in reversed(range(len(ch_mult))):
            block = level_of_blocks(width, ch * ch_mult[level], res + 1, level == last)
            width = ch * ch_mult[level]
            if level != 0:
                block.upsample = Upsample(width)
            self.conv_blocks.append(block)
        self.norm_out = normalize(width)
        self.conv_out = nn.Conv2d(width, 3, 3, 1, 1)

    def forward(self, z: Tensor) -> Tensor:
        h = self.conv_in(z)
        for layer in self.mid:
            h = layer(h)
        for level, block in enumerate(self.conv_blocks):
            h = run_level(block, h)
            if level != len(self.conv_blocks) - 1:
                h = block.upsample(h)
        return self.conv_out(nonlinearity(self.norm_out(h)))


def level_of_blocks(width_in: int, width: int, count: int, attends: bool) -> nn.Module:
    block = nn.Module()
    block.res = nn.ModuleList(ResnetBlock(width_in if i == 0 else width, width) for i in range(count))
    block.attn = nn.ModuleList(AttnBlock(width) for _ in range(count) if attends)
    return block


def run_level(block: nn.Module, h: Tensor) -> Tensor:
    for i, res in enumerate(block.res):
        h = res(h)
        if len(block.attn) > 0:
            h = block.attn[i](h)
    return h


class ResnetBlock(nn.Module):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = normalize(in_channels), nn.Conv2d(in_channels, out_channels, 3, 1, 1)
        self.norm2, self.conv2 = normalize(out_channels), nn.Conv2d(out_channels, out_channels, 3, 1, 1)
        if in_channels != out_channels:
            self.nin_shortcut = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(nonlinearity(self.norm1(x)))
        h = self.conv2(nonlinearity(self.norm2(h)))
        return (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x) + h


class AttnBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = normalize(channels)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x)
        q, k, v = (layer(h).flatten(2) for layer in (self.q, self.k, self.v))  # (B, C, H*W)
        weights = torch.bmm(q.transpose(1, 2), k).mul(x.shape[1] ** -0.5).softmax(2)
        return x + self.proj_out(torch.bmm(v, weights.transpose(1, 2)).reshape(x.shape))


class Upsample(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Downsample(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, 2, 0)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)))


def nonlinearity(x: Tensor) -> Tensor:
    return x * torch.sigmoid(x)


def normalize(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(32, channels, eps=1e-6)
