"""A transformer readied for sampling: the same weights in another layout, or fewer bits of them."""

import copy

import pytest
import torch

from taming import get_condition
from taming.checkpoints import save_checkpoint
from taming.errors import ConfigError
from taming.models import Transformer, TransformerConfig, prepare_for_sampling
from taming.modules.fast.packed_linear import PackedLinear, can_pack

# How far the logits, which spread over about 1, may move: rounding of sums, of 16 bits, of 8.
BOUNDS = {"fp32": 1e-5, "fp16": 2e-3, "bf16": 3e-2, "int8": 0.2}
KINDS = [pytest.param(k, marks=pytest.mark.skipif(not can_pack(k), reason=f"no kernels for {k}")) for k in BOUNDS]


def small_transformer(context_dim: int | None = None) -> Transformer:
    config = TransformerConfig(
        vocab_size=48, block_size=40, n_layer=2, n_head=4, n_embd=64, grid=(6, 6), context_dim=context_dim
    )
    model = Transformer(config).eval()
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return model


@pytest.fixture
def transformer() -> Transformer:
    return small_transformer()


@pytest.mark.parametrize("kind", KINDS)
@torch.inference_mode()
def test_packed_logits_are_the_plain_ones_within_the_precision(kind, transformer: Transformer):
    packed = copy.deepcopy(transformer)
    assert prepare_for_sampling(packed, kind) == f"weights packed in {kind}"
    tokens = torch.arange(30).view(2, 15)
    difference = (packed(tokens) - transformer(tokens)).abs().max()
    assert difference < BOUNDS[kind]
    assert kind == "fp32" or difference > 0


@pytest.mark.parametrize("kind", KINDS)
@torch.inference_mode()
def test_a_vector_does_not_depend_on_the_others_of_its_batch(kind):
    """Not even where the others are a hundred times as large, which would leave it few of 8 bits."""
    packed = PackedLinear({"layer": torch.nn.Linear(64, 48)}, kind)
    x, to = torch.randn(2, 3, 5, 64, generator=torch.Generator().manual_seed(0))
    to, others = to[:, :, :48].contiguous(), torch.cat([x[:1], 100 * x[1:]])
    torch.testing.assert_close(packed(others)[:1], packed(x[:1]), rtol=0, atol=1e-5)
    torch.testing.assert_close(packed.add(others, to)[:1], packed.add(x[:1], to[:1]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_magnifies_float_noise_is_drawn_one_by_one(kind, transformer: Transformer):
    prepare_for_sampling(transformer, kind)
    calls = []
    transformer.tok_emb.register_forward_pre_hook(lambda *_: calls.append(1))
    transformer.sample(get_condition(transformer), temperature=0)
    assert (len(calls) == 36) == (kind in ("bf16", "int8"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_state_of_a_packed_transformer_is_that_of_the_plain_one(kind, transformer: Transformer):
    plain = transformer.state_dict()
    prepare_for_sampling(transformer, kind)
    state = transformer.state_dict()
    assert state.keys() == plain.keys()
    for key, weight in plain.items():
        assert state[key].dtype == torch.float32
        largest = weight.abs().max().item()
        relative = {"fp32": 0.0, "fp16": 2**-11, "bf16": 2**-8, "int8": 1 / 127}[kind]
        torch.testing.assert_close(state[key], weight, atol=largest * relative, rtol=0)


@pytest.mark.skipif(not can_pack("fp32"), reason="no kernels")
def test_a_packed_transformer_is_saved_as_it_was_loaded(tmp_path, transformer: Transformer):
    save_checkpoint(transformer, tmp_path / "plain.safetensors")
    prepare_for_sampling(transformer)
    save_checkpoint(transformer, tmp_path / "packed.safetensors")
    assert (tmp_path / "plain.safetensors").read_bytes() == (tmp_path / "packed.safetensors").read_bytes()


@pytest.mark.skipif(not can_pack("fp32"), reason="no kernels")
def test_packing_keeps_no_second_copy_of_the_weights(transformer: Transformer):
    prepare_for_sampling(transformer)
    kept = {name.rpartition(".")[0] for name, _ in transformer.named_parameters()}
    packed = {name for name, module in transformer.named_modules() if isinstance(module, PackedLinear)}
    assert {"blocks.0.attn.qkv", "blocks.1.mlp.2", "head"} <= packed
    assert not kept & packed and "blocks.0.attn.key" not in kept


@pytest.mark.parametrize("kind", KINDS)
def test_cross_attention_is_packed_too(kind):
    model = small_transformer(context_dim=24)
    condition = get_condition(model, context=torch.randn(1, 5, 24, generator=torch.Generator().manual_seed(0)))
    drawn = model.sample(condition, num_steps=3)
    prepare_for_sampling(model, kind)
    assert model.sample(condition, num_steps=3).shape == drawn.shape
    assert isinstance(model.get_submodule("blocks.0.cross.key"), PackedLinear)


@pytest.mark.skipif(not can_pack("fp32"), reason="no kernels")
@pytest.mark.parametrize("threads", [1, 2])
def test_packed_weights_draw_the_same_tokens(threads, transformer: Transformer):
    condition = get_condition(transformer, batch_size=3)
    plain = transformer.sample(condition, seed=5)
    prepare_for_sampling(transformer)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        assert torch.equal(transformer.sample(condition, seed=5), plain)
    finally:
        torch.set_num_threads(before)


def test_a_precision_that_does_not_exist_is_refused(transformer: Transformer):
    with pytest.raises(ConfigError, match="fp4.*auto, fp32, bf16, fp16, int8"):
        prepare_for_sampling(transformer, "fp4")  # pyright: ignore[reportArgumentType]


def test_elsewhere_the_weights_are_cast_or_left():
    with torch.device("meta"):
        model = Transformer(TransformerConfig(vocab_size=8, block_size=8, n_layer=1, n_head=1, n_embd=8))
    assert prepare_for_sampling(model) == "weights as they are"
    assert "int8 is for CPUs" in prepare_for_sampling(model, "int8")
    assert model.head.weight.dtype == torch.float32
    prepare_for_sampling(model, "fp16")
    assert model.head.weight.dtype == torch.float16
