"""The transformer and its sampler against the reference's own code, on random weights in the published layout."""

import pytest
import torch

from taming.conditioning import ClassCondition, Unconditional, get_condition
from taming.models.transformer import Transformer, TransformerConfig
from taming.sampling import SamplingOptions, filter_logits, generate

SHAPE = {"vocab_size": 96, "block_size": 64, "n_layer": 3, "n_head": 4, "n_embd": 64}
UNCONDITIONAL = Unconditional()
FIRST_STAGE = {
    "target": "taming.models.vqgan.VQModel",
    "params": {
        "embed_dim": 32,
        "n_embed": 96,
        "lossconfig": {"target": "taming.modules.losses.vqperceptual.DummyLoss"},
        "ddconfig": {
            "double_z": False,
            "z_channels": 32,
            "resolution": 16,
            "in_channels": 3,
            "out_ch": 3,
            "ch": 32,
            "ch_mult": [1, 1],
            "num_res_blocks": 1,
            "attn_resolutions": [],
            "dropout": 0.0,
        },
    },
}
LABELS = {"target": "taming.modules.util.Labelator", "params": {"n_classes": 10}}


def reference_gpt(reference, seed=0, **changes):
    """A reference GPT whose every weight is random, and which does not draw one token for ever."""
    torch.manual_seed(seed)
    gpt = reference.GPT(**SHAPE, **changes).eval()
    with torch.no_grad():
        for name, parameter in gpt.named_parameters():
            parameter.normal_(mean=float("ln" in name and name.endswith("weight")), std=0.1)
        gpt.pos_emb.normal_()
        gpt.tok_emb.weight.normal_()
    return gpt


def ours(gpt, condition=UNCONDITIONAL, **changes):
    """Our transformer with the reference's weights, loaded strictly but for its saved masks."""
    transformer = Transformer(TransformerConfig(**SHAPE, grid=(8, 8), condition=condition, **changes)).eval()
    weights = {key: value for key, value in gpt.state_dict().items() if not key.endswith("attn.mask")}
    transformer.load_state_dict(weights, strict=True)
    return transformer


@pytest.mark.parametrize("n_unmasked", [0, 1, 7, 64])
def test_logits_equal_the_references(reference, n_unmasked):
    gpt = reference_gpt(reference, n_unmasked=n_unmasked)
    transformer = ours(gpt, n_unmasked=n_unmasked)
    indices = torch.randint(96, (3, 64))
    with torch.no_grad():
        expected = gpt(indices)[0]
        logits = transformer(indices)
    assert expected.std() > 0.5
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_greedy_tokens_equal_those_of_sample_with_past(reference, seed):
    gpt = reference_gpt(reference, seed)
    condition = ClassCondition(num_classes=10)
    labels = [3, 0, 9]
    expected = reference.sample_with_past(torch.tensor(labels)[:, None], gpt, steps=64, sample_logits=False)
    transformer = ours(gpt, condition)
    drawn = transformer.sample(get_condition(transformer, labels), temperature=0)
    assert torch.equal(drawn.flatten(1), expected)
    assert drawn.unique().numel() > 8


@pytest.mark.parametrize("kind", ["unconditional", "class"])
def test_net2net_completes_half_an_image_as_we_do(reference, kind):
    net = reference.Net2NetTransformer(
        transformer_config={"target": "taming.modules.transformer.mingpt.GPT", "params": SHAPE},
        first_stage_config=FIRST_STAGE,
        cond_stage_config=LABELS if kind == "class" else "__is_unconditional__",
        permuter_config={"target": "taming.modules.transformer.permuter.Identity"},
        first_stage_key="image",
        cond_stage_key="class_label",
        sos_token=5,
    )
    net.transformer.load_state_dict(reference_gpt(reference).state_dict())
    net.eval()
    images, labels = torch.randn(2, 3, 16, 16), torch.tensor([7, 2])
    z = net.encode_to_z(images)[1]
    c = net.encode_to_c(labels if kind == "class" else images)[1]
    expected = net.sample(z[:, :30], c, steps=34, sample=False)

    config = ClassCondition(num_classes=10) if kind == "class" else Unconditional(sos_token=5)
    transformer = ours(net.transformer, config)
    condition = get_condition(transformer, labels.tolist() if kind == "class" else None)
    known = torch.arange(64).view(1, 8, 8).expand(2, 8, 8) < 30
    drawn = generate(condition, z.view(2, 8, 8), known, options=SamplingOptions(temperature=0))
    assert torch.equal(drawn.flatten(1), expected)


@pytest.mark.parametrize("vocab_size", [512, 1024, 16384])
@pytest.mark.parametrize("top_k", [1, 100, 20000])
@pytest.mark.parametrize("top_p", [0.0, 0.5, 0.92, 1.0])
@pytest.mark.parametrize("decimals", [1, 6], ids=["ties", "no-ties"])
def test_filters_equal_the_references_bit_for_bit(reference_filter, vocab_size, top_k, top_p, decimals):
    logits = (3 * torch.randn(16, vocab_size, generator=torch.Generator().manual_seed(top_k))).round(decimals=decimals)
    expected = reference_filter(logits / 0.9, top_k=top_k, top_p=top_p)
    assert torch.equal(filter_logits(logits, 0.9, top_k, top_p), expected)


@pytest.mark.parametrize("vocab_size", [512, 16384])
def test_top_p_alone_equals_the_references(reference_filter, vocab_size):
    logits = 3 * torch.randn(16, vocab_size, generator=torch.Generator().manual_seed(1))
    assert torch.equal(filter_logits(logits, top_p=0.9), reference_filter(logits, top_p=0.9))


def test_top_p_of_one_alone_is_off_where_the_reference_drops_float_noise(reference_filter):
    logits = 3 * torch.randn(64, 16384, generator=torch.Generator().manual_seed(2))
    dropped = reference_filter(logits, top_p=1.0).isinf()
    assert torch.equal(filter_logits(logits, top_p=1.0), logits)
    assert (logits.double().softmax(-1) * dropped).sum(-1).max() < 1e-5
