"""Files with int8 weights: half as large as float16, near to the weights that they were made from, codebooks exact."""

import pytest
import torch

from taming.checkpoints import codebook_fingerprint, load_transformer, load_vqgan, save_checkpoint
from taming.checkpoints.int8_weights import from_int8, to_int8
from taming.conditioning import ClassCondition
from taming.models.transformer import Transformer, TransformerConfig
from taming.models.vqgan import VQModel, VQModelConfig

VQGAN = VQModelConfig(
    n_embed=24, embed_dim=8, ch=32, ch_mult=(1, 2), num_res_blocks=1, attn_resolutions=(), resolution=32, z_channels=16
)


def test_each_row_is_rounded_over_its_own_range_and_comes_back_in_float32():
    torch.manual_seed(0)
    weight = torch.randn(6, 4, 3, 3) * torch.logspace(-6, 3, 6).view(-1, 1, 1, 1)
    weight[2] = 0
    back = from_int8(to_int8({"conv.weight": weight}))["conv.weight"]
    assert back.dtype == torch.float32 and back.shape == weight.shape
    error = (back - weight).abs().flatten(1).amax(1)
    assert (error <= weight.abs().flatten(1).amax(1) / 254 * 1.001).all()
    assert (back[2] == 0).all()


def test_vectors_positions_and_integers_are_not_rounded():
    weights = {"norm.bias": torch.randn(8), "pos_emb": torch.randn(1, 5, 8), "used": torch.arange(4)}
    stored = to_int8(weights)
    assert {key: tensor.dtype for key, tensor in stored.items()} == {
        "norm.bias": torch.float16, "pos_emb": torch.float16, "used": torch.int64,
    }  # fmt: skip


def test_a_file_of_a_model_that_was_rounded_loads_is_small_and_keeps_its_codebook(tmp_path):
    torch.manual_seed(0)
    model = VQModel(VQGAN).eval()
    for name, dtype in (("half", torch.float16), ("int8", torch.int8)):
        save_checkpoint(model, tmp_path / f"{name}.safetensors", dtype=dtype)
    half, rounded = (load_vqgan(tmp_path / f"{name}.safetensors") for name in ("half", "int8"))
    assert codebook_fingerprint(half.state_dict()) == codebook_fingerprint(rounded.state_dict())
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("half", "int8")]
    assert sizes[1] < 0.6 * sizes[0]
    pixels = torch.rand(1, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        difference = (half(pixels)[0] - rounded(pixels)[0]).abs().mean()
    assert 0 < difference < 0.05


@pytest.mark.parametrize("precision", [None, "fp32", "int8"])
def test_a_transformer_of_int8_weights_predicts_nearly_the_same(tmp_path, precision):
    torch.manual_seed(0)
    config = TransformerConfig(32, 16, 2, 4, 32, grid=(4, 4), condition=ClassCondition(num_classes=3, null_label=3))
    model = Transformer(config).eval()
    save_checkpoint(model, tmp_path / "t.safetensors", dtype=torch.int8)
    rounded, _ = load_transformer(tmp_path / "t.safetensors", precision=precision)
    indices = torch.randint(32, (2, 8))
    with torch.inference_mode():
        assert (model(indices) - rounded(indices)).abs().max() < 0.05
