"""The transformer: cached equals uncached, causal, strict about its inputs, and ready for a host's layers."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from taming.conditioning import ClassCondition
from taming.errors import ConditionError, ConfigError, TokensError
from taming.models import Transformer, TransformerConfig
from taming.modules.kv_cache import KVCache

WIDTH, LENGTH = 32, 20


def build(seed: int = 0, **changes) -> Transformer:
    shape = {"vocab_size": 24, "block_size": LENGTH, "n_layer": 2, "n_head": 4, "n_embd": WIDTH, "grid": (4, 4)}
    model = Transformer(TransformerConfig(**(shape | changes))).eval()
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3, generator=generator)
    return model


def decode_all(model: Transformer, indices: torch.Tensor, cache: KVCache, context: torch.Tensor | None = None):
    return model.decode(indices, cache, context, last=indices.shape[1])


@pytest.fixture
def indices() -> torch.Tensor:
    return torch.randint(24, (3, LENGTH), generator=torch.Generator().manual_seed(1))


@pytest.fixture
def context() -> torch.Tensor:
    return torch.randn(3, 5, 12, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("pieces", [[20], [1] * 20, [7, 1, 4, 8], [3, 17]])
@pytest.mark.parametrize("n_unmasked", [0, 3])
@torch.no_grad()
def test_tokens_fed_in_pieces_give_the_logits_of_the_whole(indices, pieces, n_unmasked):
    model = build(n_unmasked=n_unmasked)
    pieces = pieces if pieces[0] >= n_unmasked else [n_unmasked] + [1] * (LENGTH - n_unmasked)
    cache = model.new_cache(LENGTH)
    logits = torch.cat([decode_all(model, piece, cache) for piece in indices.split(pieces, dim=1)], dim=1)
    torch.testing.assert_close(logits, model(indices), rtol=0, atol=1e-5)


@torch.no_grad()
def test_a_sequence_read_whole_at_once_holds_no_buffers(indices):
    model = build()
    cache = model.new_cache(LENGTH)
    torch.testing.assert_close(decode_all(model, indices, cache), model(indices))
    assert cache.store is None


@torch.no_grad()
def test_cached_cross_attention_equals_uncached(indices, context):
    model = build(context_dim=12)
    cache = model.new_cache(LENGTH)
    logits = torch.cat([decode_all(model, piece, cache, context) for piece in indices.split([5, 1, 14], dim=1)], dim=1)
    torch.testing.assert_close(logits, model(indices, context), rtol=0, atol=1e-5)


@torch.no_grad()
def test_the_context_is_projected_once_per_call(indices, context):
    model = build(context_dim=12)
    calls = []
    model.blocks[0].cross.key.register_forward_hook(lambda *_: calls.append(1))
    cache = model.new_cache(LENGTH)
    for piece in indices.split(1, dim=1):
        model.decode(piece, cache, context)
    model.decode(indices, cache.new(LENGTH), context)
    assert len(calls) == 1


@torch.no_grad()
def test_the_context_matters(indices, context):
    model = build(context_dim=12)
    assert not torch.allclose(model(indices, context), model(indices, context.flip(1) * 2))


@torch.no_grad()
def test_a_truncated_cache_goes_on_from_there(indices):
    model = build()
    cache = model.new_cache(LENGTH)
    model.decode(indices.roll(3, dims=1)[:, 5:], cache)
    cache.truncate(0)
    model.decode(indices[:, :12], cache)
    cache.truncate(7)
    logits = model.decode(indices[:, 7:], cache, last=3)
    torch.testing.assert_close(logits, model(indices)[:, -3:], rtol=0, atol=1e-5)


@torch.no_grad()
def test_a_token_does_not_see_later_ones_beyond_the_unmasked_prefix(indices):
    model = build(n_unmasked=4)
    changed = indices.clone()
    changed[:, 10:] = (changed[:, 10:] + 1) % 24
    before, after = model(indices), model(changed)
    torch.testing.assert_close(before[:, :10], after[:, :10])
    assert not torch.allclose(before[:, 10:], after[:, 10:])
    changed = indices.clone()
    changed[:, 3] = (changed[:, 3] + 1) % 24
    assert not torch.allclose(model(changed)[:, 0], before[:, 0])


def test_keys_are_those_of_the_published_checkpoints():
    block = {f"{part}.{leaf}" for part in ("ln1", "ln2", "mlp.0", "mlp.2") for leaf in ("weight", "bias")}
    block |= {f"attn.{part}.{leaf}" for part in ("key", "query", "value", "proj") for leaf in ("weight", "bias")}
    expected = {f"blocks.{layer}.{key}" for layer in range(2) for key in block}
    expected |= {"tok_emb.weight", "pos_emb", "ln_f.weight", "ln_f.bias", "head.weight"}
    assert set(build().state_dict()) == expected
    assert {key.split(".")[2] for key in set(build(context_dim=12).state_dict()) - expected} == {"ln_cross", "cross"}


def test_fresh_weights_start_as_the_published_models_did():
    model = Transformer(TransformerConfig(vocab_size=500, block_size=9, n_layer=1, n_head=2, n_embd=64))
    assert model.pos_emb.eq(0).all() and model.blocks[0].attn.proj.bias.eq(0).all()
    assert model.blocks[0].ln1.weight.eq(1).all()
    for weight in (model.tok_emb.weight, model.head.weight, model.blocks[0].mlp[0].weight):
        assert abs(weight.std() - 0.02) < 0.001
    first, second = (
        model.init_weights(torch.Generator().manual_seed(4)) or model.head.weight.clone() for _ in range(2)
    )
    assert torch.equal(first, second)


def test_layers_of_a_host_are_not_looked_at_before_loading():
    class Unloaded:
        def __init__(self, layer):
            self.layer = layer

        def __call__(self, *sizes, **options):
            layer = self.layer(*sizes, **options)
            layer.weight = None
            return layer

    layers = {name: Unloaded(getattr(nn, name)) for name in ("Linear", "LayerNorm", "Embedding")}
    config = TransformerConfig(vocab_size=8, block_size=4, n_layer=1, n_head=2, n_embd=8, context_dim=3)
    model = Transformer(config, operations=SimpleNamespace(**layers))
    assert model.head.weight is None and model.blocks[0].cross.key.weight is None


def test_dropout_acts_in_training_only(indices):
    model = build(embd_pdrop=0.5, resid_pdrop=0.5, attn_pdrop=0.5)
    assert torch.equal(model(indices), model(indices))
    model.train()
    assert not torch.equal(model(indices), model(indices))


@torch.no_grad()
def test_half_precision_follows_the_weights(indices):
    model = build().to(torch.bfloat16)
    assert model(indices).dtype == torch.bfloat16
    cache = model.new_cache(LENGTH)
    for piece in indices.split([12, 1, 7], dim=1):
        assert model.decode(piece, cache).dtype == torch.bfloat16


@torch.no_grad()
def test_cache_bytes_is_what_a_full_cache_takes(indices):
    model = build()
    cache = model.new_cache(LENGTH)
    for piece in indices.split([12, 8], dim=1):
        model.decode(piece, cache)
    assert cache.store is not None and cache.store.nbytes == model.cache_bytes(3, LENGTH, torch.float32)


def test_wrong_inputs_are_named(indices, context):
    with pytest.raises(TokensError, match="21 tokens .* 20"):
        build()(torch.zeros(1, 21, dtype=torch.int64))
    with pytest.raises(ConditionError, match="attends to a context"):
        build(context_dim=12)(indices)
    with pytest.raises(ConditionError, match="no cross-attention"):
        build()(indices, context)
    with pytest.raises(ConfigError, match="n_head=5"):
        build(n_head=5)


def test_configurations_compare_by_value():
    config = build(condition=ClassCondition(num_classes=3)).config
    assert config == build(condition=ClassCondition(num_classes=3)).config
