"""Large images in chunks: the same images and tokens as whole, in memory that is known beforehand."""

import pytest
import torch
from torch import Tensor, nn

from peak_memory import peak_bytes
from random_codes import seeded
from taming.models import VQModel, VQModelConfig
from taming.modules.fast import chunked

TOLERANCE = 1e-4
TINY = {"n_embed": 64, "embed_dim": 8, "ch": 32, "ch_mult": (1, 1, 2), "num_res_blocks": 2, "z_channels": 8}
CONFIGS = {
    "published order": {},
    "widening": {"ch_mult": (1, 2, 4), "num_res_blocks": 1},
    "narrowing": {"ch_mult": (2, 1), "num_res_blocks": 1},
    "pooled": {"resamp_with_conv": False},
    "attention everywhere": {"attn_resolutions": (64, 32, 16), "resolution": 64},
    "one level": {"ch_mult": (1,)},
}
CHUNK = 32 * 64 * 8  # floats: 8 rows of a picture 64 wide


def vqgan(**changes) -> VQModel:
    """A model whose normalizations are not the identity, as they start, and whose latents have many tokens."""
    torch.manual_seed(0)
    model = VQModel(VQModelConfig(**{**TINY, **changes})).eval()
    for module in model.modules():
        if isinstance(module, nn.GroupNorm):
            nn.init.normal_(module.weight, 1.0, 0.3)
            nn.init.normal_(module.bias, 0.0, 0.3)
    nn.init.normal_(model.quantize.embedding.weight, 0.0, 0.5)
    return model


def pictures(*shape: int) -> Tensor:
    """Brighter and rougher at one end, so that chunks have other statistics than the whole."""
    slope = torch.linspace(0.1, 2, shape[2])[:, None]
    return torch.randn(*shape, generator=seeded(0)) * slope + slope


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunked, "CPU_CHUNK_ELEMENTS", CHUNK)


@pytest.mark.parametrize("shape", [(1, 72, 64), (2, 56, 96)], ids=str)
@pytest.mark.parametrize("changes", CONFIGS.values(), ids=CONFIGS)
@torch.inference_mode()
def test_chunks_give_the_picture_and_the_tokens_of_the_whole(changes, shape, monkeypatch):
    model = vqgan(**changes)
    pixels = pictures(shape[0], 3, *shape[1:])
    quantized = model.encode(pixels)
    decoded = model.decode(quantized.z_q)
    monkeypatch.setattr(chunked, "CPU_CHUNK_ELEMENTS", CHUNK)
    in_chunks = model.encode(pixels)
    assert quantized.indices.unique().numel() > 8
    assert torch.equal(in_chunks.indices, quantized.indices)
    assert (in_chunks.z_q - quantized.z_q).abs().max() < TOLERANCE
    again = model.decode(quantized.z_q)
    assert not torch.equal(again, decoded), "nothing was cut"
    assert (again - decoded).abs().max() < TOLERANCE * decoded.abs().max()


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("height", [8, 9, 31, 40, 41])
@torch.inference_mode()
def test_no_row_of_a_convolution_knows_where_the_chunks_were(height, in_place, small_chunks):
    x = pictures(2, 32, height, 64)
    conv = nn.Conv2d(32, 32, 3, padding=1)
    expected = conv(x)
    made = chunked.apply_chunked(conv, x, halo=1, in_place=in_place)
    assert (made - expected).abs().max() < 1e-5
    assert (made.data_ptr() == x.data_ptr()) == in_place
    assert in_place or torch.equal(x, pictures(2, 32, height, 64))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@torch.inference_mode()
def test_a_normalization_of_chunks_has_the_statistics_of_the_whole(dtype, small_chunks):
    norm = nn.GroupNorm(32, 64, eps=1e-6, dtype=dtype)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x = pictures(2, 64, 50, 64).to(dtype) + 3
    expected = norm(x)
    made = chunked.apply_chunked(chunked.normalization(norm, x), x, halo=0)
    assert made.dtype == dtype
    assert (made - expected).abs().max() <= 4 * torch.finfo(dtype).eps * expected.abs().max()


@torch.inference_mode()
def test_the_affine_part_of_a_normalization_is_read_off_what_its_layer_does():
    """As a host's layer would have it, whose weights may be elsewhere, or patched at every use."""

    class Patched(nn.GroupNorm):
        def forward(self, input: Tensor) -> Tensor:
            return super().forward(input) * 3 + 1

    norm = Patched(32, 64, eps=1e-6)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    weight, bias = chunked.affine(norm, torch.zeros(1, 64, 2, 2))
    assert torch.allclose(weight, 3 * norm.weight, atol=1e-5)
    assert torch.allclose(bias, 3 * norm.bias + 1, atol=1e-5)


def test_with_gradients_nothing_is_cut(small_chunks, monkeypatch):
    monkeypatch.setattr(chunked, "row_chunks", lambda *_: pytest.fail("cut"))
    model = vqgan()
    model(pictures(1, 3, 72, 64))


def test_decoding_in_chunks_holds_two_pictures_of_the_highest_resolution(small_chunks):
    model = vqgan(ch_mult=(1, 1, 1), attn_resolutions=(), mid_attention=False)
    z = torch.randn(1, 8, 64, 64, generator=seeded(0))
    picture_bytes = 4 * 32 * 256 * 256
    assert peak_bytes(lambda: model.decode(z)) < 2.5 * picture_bytes


def test_encoding_in_chunks_holds_two_pictures_of_the_highest_resolution(small_chunks):
    model = vqgan(ch_mult=(1, 1, 1), attn_resolutions=(), mid_attention=False)
    pixels = pictures(1, 3, 256, 256)
    picture_bytes = 4 * 32 * 256 * 256
    assert peak_bytes(lambda: model.encode(pixels)) < 2.5 * picture_bytes
