"""Losses: their values and gradients where these are known, the balance between them, and what the remedies cure."""

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

from taming.errors import CheckpointError, UnsupportedCheckpointError
from taming.models.transformer import Transformer, TransformerConfig
from taming.modules.quantizers import CosineQuantizer, DotQuantizer, GumbelQuantizer, VectorQuantizer
from taming.training.losses import (
    LeCam,
    adaptive_weight,
    corrupt_tokens,
    drop_condition,
    entropy_loss,
    generator_loss,
    hinge_loss,
    load_lpips,
    next_token_loss,
    r1_penalty,
    realism_loss,
    reconstruction_loss,
    token_loss,
    vanilla_loss,
)
from taming.training.losses.discriminator import NLayerDiscriminator
from taming.training.losses.lpips import LPIPS, unit


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=seeded(seed))


# Reconstruction


def test_a_reconstruction_is_judged_by_the_weighted_sum_of_its_distances():
    rec, pixels = noise(2, 3, 8, 8), noise(2, 3, 8, 8, seed=1)

    def brightness(a: Tensor, b: Tensor) -> Tensor:
        return (a.mean((1, 2, 3)) - b.mean((1, 2, 3))).abs()

    judged = reconstruction_loss(
        rec, pixels, l1_weight=0.5, l2_weight=3.0, perceptual_weight=2.0, perceptual=brightness
    )
    torch.testing.assert_close(judged.l1, (rec - pixels).abs().mean())
    torch.testing.assert_close(judged.l2, (rec - pixels).square().mean())
    torch.testing.assert_close(judged.loss, 0.5 * judged.l1 + 3 * judged.l2 + 2 * brightness(pixels, rec).mean())
    assert reconstruction_loss(pixels, pixels, l2_weight=1.0).loss == 0


# LPIPS


@pytest.fixture(scope="module")
def lpips() -> LPIPS:
    """The network with random weights, kept at a size where every depth says something."""
    torch.manual_seed(0)
    module = LPIPS()
    for name, parameter in module.named_parameters():
        if name.startswith("lin"):
            parameter.uniform_()
        elif name.endswith("weight"):
            nn.init.kaiming_normal_(parameter, nonlinearity="relu")
    return module


@pytest.fixture(scope="module")
def lpips_files(lpips: LPIPS, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Its weights as published: the heads, torchvision's network, and both inside a VQGAN's checkpoint."""
    folder = tmp_path_factory.mktemp("lpips")
    weights = {key: value.clone() for key, value in lpips.state_dict().items()}
    heads = {key: value for key, value in weights.items() if key.startswith("lin")}
    network = {f"features.{key.split('.', 2)[2]}": value for key, value in weights.items() if key.startswith("net")}
    network["classifier.0.weight"] = torch.zeros(4, 4)
    torch.save(heads, folder / "vgg.pth", _use_new_zipfile_serialization=False)
    torch.save(network, folder / "vgg16.pth", _use_new_zipfile_serialization=False)
    whole = {f"loss.perceptual_loss.{key}": value for key, value in weights.items()}
    torch.save({"state_dict": {**whole, "encoder.conv_in.weight": torch.zeros(4, 4)}}, folder / "last.ckpt")
    return {file.name: file for file in folder.iterdir()}


@pytest.mark.parametrize("names", [("vgg.pth", "vgg16.pth"), ("vgg16.pth", "vgg.pth"), ("last.ckpt",)])
def test_lpips_takes_its_weights_from_every_published_file(names, lpips, lpips_files):
    loaded = load_lpips(*(lpips_files[name] for name in names))
    a, b = noise(2, 3, 32, 32).tanh(), noise(2, 3, 32, 32, seed=1).tanh()
    distance = loaded(a, b)
    assert distance.shape == (2,) and (distance > 0.01).all()
    assert torch.equal(distance, lpips(a, b))
    assert torch.equal(loaded(a, a), torch.zeros(2))


def test_lpips_is_a_fixed_ruler_even_while_training(lpips_files):
    state = torch.get_rng_state()
    module = load_lpips(lpips_files["last.ckpt"])
    assert torch.equal(torch.get_rng_state(), state), "loading drew from the global generator"
    a, b = noise(1, 3, 16, 16).requires_grad_(), noise(1, 3, 16, 16, seed=1)
    expected = module(a, b)
    assert torch.equal(nn.Sequential(module).train()[0](a, b), expected)
    assert not any(parameter.requires_grad for parameter in module.parameters())
    assert torch.autograd.grad(expected.sum(), a)[0].abs().sum() > 0


def test_the_references_dropout_is_on_in_training_only_where_it_was_asked_for(lpips_files):
    module = load_lpips(lpips_files["last.ckpt"], legacy_dropout=True)
    a, b = noise(1, 3, 16, 16), noise(1, 3, 16, 16, seed=1)
    assert not torch.equal(module.train()(a, b), module(a, b))
    assert torch.equal(module.eval()(a, b), module(a, b))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_features_that_are_all_zero_stay_zero_and_have_a_gradient(dtype):
    """The reference's gradient is not a number there, and in half precision the value is not one either."""
    features = torch.zeros(1, 4, 2, 2, dtype=dtype, requires_grad=True)
    directions = unit(features)
    assert torch.equal(directions, torch.zeros_like(directions))
    assert torch.autograd.grad(directions.square().sum(), features)[0].isfinite().all()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("vgg.pth",), r"vgg\.pth: 26 of the 33 weights .* net\.slice1\.0\.weight.*vgg16-397923af\.pth"),
        (("vgg16.pth",), r"vgg16\.pth: 5 of the 33 weights .* lin0\.model\.1\.weight.*vgg\.pth of the LPIPS authors"),
        ((), r"No file: 31 of the 33 weights"),
    ],
)
def test_lpips_files_that_lack_weights_are_refused_by_name(names, message, lpips_files):
    with pytest.raises(UnsupportedCheckpointError, match=message):
        load_lpips(*(lpips_files[name] for name in names))


def test_heads_of_another_network_are_refused(lpips_files, tmp_path):
    """LPIPS on AlexNet has heads of the same names and other widths."""
    widths = (64, 192, 384, 256, 256)
    heads = {f"lin{i}.model.1.weight": torch.zeros(1, width, 1, 1) for i, width in enumerate(widths)}
    save_file(heads, tmp_path / "alex.safetensors")
    with pytest.raises(UnsupportedCheckpointError, match=r"lin1\.model\.1\.weight has the shape \(1, 192, 1, 1\)"):
        load_lpips(lpips_files["vgg16.pth"], tmp_path / "alex.safetensors")


def test_a_missing_lpips_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(CheckpointError, match=r"vgg\.pth"):
        load_lpips(tmp_path / "vgg.pth")


# The discriminator's game


@pytest.mark.parametrize("loss", [hinge_loss, vanilla_loss])
def test_a_discriminator_is_pushed_to_raise_real_logits_and_lower_fake_ones(loss):
    real, fake = noise(2, 1, 4, 4).requires_grad_(), noise(2, 1, 4, 4, seed=1).requires_grad_()
    to_real, to_fake = torch.autograd.grad(loss(real, fake), (real, fake))
    assert (to_real <= 0).all() and (to_fake >= 0).all()
    assert to_real.sum() < 0 < to_fake.sum()
    assert loss(real + 50, fake - 50) < 1e-6


def test_a_hinge_loss_has_no_gradient_where_the_discriminator_is_sure():
    real, fake = torch.tensor([1.5, 0.5], requires_grad=True), torch.tensor([-1.5, -0.5], requires_grad=True)
    to_real, to_fake = torch.autograd.grad(hinge_loss(real, fake), (real, fake))
    assert to_real.tolist() == [0, -0.25] and to_fake.tolist() == [0, 0.25]


@settings(max_examples=30)
@given(rec_scale=st.floats(1e-2, 1e2), real_scale=st.floats(1e-2, 1e2))
def test_the_adaptive_weight_gives_both_losses_the_same_pull_at_the_last_layer(rec_scale, real_scale):
    layer = noise(8).requires_grad_()
    rec, realism = (rec_scale * layer * noise(8, seed=1)).sum(), (real_scale * layer * noise(8, seed=2)).sum()
    weight = adaptive_weight(rec, realism, layer)
    (rec_grad,) = torch.autograd.grad(rec, layer, retain_graph=True)
    (pull,) = torch.autograd.grad(weight * realism, layer)
    assert not weight.requires_grad
    assert pull.norm() == pytest.approx(rec_grad.norm().item(), rel=2e-2)  # the floor, 1e-4, takes a little


@pytest.mark.parametrize(("rec_scale", "real_scale", "expected"), [(1.0, 0.0, 1e4), (0.0, 1.0, 0.0), (9e9, 1.0, 1e4)])
def test_the_adaptive_weight_is_bounded_where_a_gradient_vanishes(rec_scale, real_scale, expected):
    layer = torch.ones(1, requires_grad=True)
    assert adaptive_weight((layer * rec_scale).sum(), (layer * real_scale).sum(), layer) == pytest.approx(expected)


def test_half_precision_does_not_overflow_the_adaptive_weight():
    layer = torch.ones(100, dtype=torch.float16, requires_grad=True)
    weight = adaptive_weight((layer * 60_000).sum(), (layer * 30_000).sum(), layer)
    assert weight == pytest.approx(2.0, rel=1e-3)


def test_a_discriminator_without_a_share_is_not_even_asked():
    layer = torch.ones(3, requires_grad=True)

    def judge() -> Tensor:
        raise AssertionError("asked")

    result = generator_loss(layer.sum(), layer.square().sum(), judge, layer, share=0.0, codebook_weight=0.5)
    assert result.loss == 3 + 0.5 * 3 and result.realism == 0 and result.adaptive == 0


def test_half_the_share_is_half_the_discriminators_pull():
    def pull(share: float) -> Tensor:
        layer = noise(4).requires_grad_()
        result = generator_loss(
            layer.square().sum(), layer.new_zeros(()), lambda: layer * noise(4, seed=1), layer, share=share
        )
        return torch.autograd.grad(result.loss, layer)[0]

    torch.testing.assert_close(pull(0.5) - pull(0.0), 0.5 * (pull(1.0) - pull(0.0)))


def test_a_conditional_discriminator_judges_the_pair():
    torch.manual_seed(0)
    discriminator = NLayerDiscriminator(in_channels=5, ndf=8, n_layers=2).eval()
    pixels, condition, other = noise(2, 3, 24, 24), noise(2, 2, 24, 24, seed=1), noise(2, 2, 24, 24, seed=2)
    logits = discriminator(pixels, condition)
    assert torch.equal(logits, discriminator(torch.cat([pixels, condition], 1)))
    assert not torch.equal(logits, discriminator(pixels, other))


def dirac_gan(r1_weight: float, steps: int = 400) -> float:
    """How far a one-number generator ends from the data, 0, when both sides learn at once; it starts at 1.

    Mescheder et al. 2018, section 2: the discriminator is D(x) = psi * x.
    """
    theta, psi = torch.ones(1, 1), torch.ones(1, 1)
    for _ in range(steps):
        theta, psi = theta.detach().requires_grad_(), psi.detach().requires_grad_()
        data = torch.zeros(1, 1, requires_grad=True)
        real = data * psi
        loss = vanilla_loss(real, theta.detach() * psi) + r1_weight * r1_penalty(real, data)
        (to_psi,) = torch.autograd.grad(loss, psi)
        (to_theta,) = torch.autograd.grad(realism_loss(theta * psi.detach()), theta)
        theta, psi = theta - 0.1 * to_theta, psi - 0.1 * to_psi
    return theta.abs().item()


def test_the_r1_penalty_ends_the_circling_of_generator_and_discriminator():
    assert dirac_gan(r1_weight=0.0) > 0.5
    assert dirac_gan(r1_weight=1.0) < 0.01


def test_the_r1_penalty_is_half_the_squared_slope_of_each_picture():
    pixels, slope = noise(4, 2, 3, 3).requires_grad_(), noise(2, 3, 3, seed=1)
    logits = (pixels * slope).sum((1, 2, 3))
    torch.testing.assert_close(r1_penalty(logits, pixels), 0.5 * slope.square().sum())


def separation(lecam_weight: float) -> float:
    """How far apart a discriminator pushes two points that it can tell from each other, after 300 steps."""
    lecam, scale = LeCam(decay=0.9), torch.zeros((), requires_grad=True)
    optimizer = torch.optim.SGD([scale], lr=1.0)
    for _ in range(300):
        real, fake = scale * torch.ones(4), scale * -torch.ones(4)
        optimizer.zero_grad()
        (vanilla_loss(real, fake) + lecam_weight * lecam(real, fake)).backward()
        optimizer.step()
    return 2 * scale.item()


def test_lecam_keeps_a_discriminator_from_growing_sure_of_few_pictures():
    assert separation(lecam_weight=0.0) > 10
    assert 0.1 < separation(lecam_weight=0.1) < 3


def test_lecam_averages_move_in_training_only_and_are_saved():
    lecam = LeCam(decay=0.5)
    lecam(torch.full((3,), 4.0), torch.full((3,), -2.0))
    assert lecam.eval()(torch.zeros(1), torch.zeros(1)) == 1 + 4
    assert {key: value.item() for key, value in lecam.state_dict().items()} == {"real": 2.0, "fake": -1.0}


# Entropy of the codes


def test_the_entropies_are_those_of_the_distributions_that_they_name():
    one_code, each_its_own = torch.zeros(1, 4, 2, 2), 50 * torch.eye(4).view(1, 4, 2, 2)
    one_code[:, 0] = 50
    for scores, per_latent, overall in (
        (one_code, 0, 0),
        (each_its_own, 0, math.log(4)),
        (torch.zeros(1, 4, 2, 2), math.log(4), math.log(4)),
    ):
        entropy = entropy_loss(scores, temperature=1.0)
        assert entropy.per_latent == pytest.approx(per_latent, abs=1e-5)
        assert entropy.overall == pytest.approx(overall, abs=1e-5)
        assert entropy.loss == pytest.approx(per_latent - overall, abs=1e-5)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), scale=st.floats(0, 1e4), num_codes=st.integers(1, 12))
def test_the_entropy_term_is_never_positive_and_its_gradient_always_finite(seed, scale, num_codes):
    scores = (scale * noise(2, num_codes, 3, 3, seed=seed)).requires_grad_()
    entropy = entropy_loss(scores, temperature=0.1)
    assert -math.log(num_codes) - 1e-4 <= entropy.loss <= 1e-4  # Jensen: the mean is never surer than its parts
    assert torch.autograd.grad(entropy.loss, scores)[0].isfinite().all()


@pytest.mark.parametrize("kind", [VectorQuantizer, CosineQuantizer, DotQuantizer, GumbelQuantizer])
def test_the_likeliest_code_of_the_scores_is_the_one_that_is_taken(kind):
    torch.manual_seed(0)
    quantizer = kind(16, 4, 4) if kind is GumbelQuantizer else kind(16, 4)
    z = noise(2, 4, 3, 5).requires_grad_()
    scores = quantizer.eval().scores(z)
    assert scores.shape == (2, 16, 3, 5)
    assert torch.equal(scores.argmax(1), quantizer(z).indices)
    codes = quantizer.proj.weight if isinstance(quantizer, GumbelQuantizer) else quantizer.embedding.weight
    to_z, to_codes = torch.autograd.grad(entropy_loss(scores, 0.5).loss, (z, codes))
    assert to_z.abs().sum() > 0 and to_codes.abs().sum() > 0


# Tokens


@pytest.fixture(scope="module")
def transformer() -> Transformer:
    torch.manual_seed(0)
    model = Transformer(TransformerConfig(vocab_size=20, block_size=12, n_layer=1, n_head=2, n_embd=16, grid=(3, 3)))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model.eval()


def tokens_and_prefix(prefix_length: int = 3) -> tuple[Tensor, Tensor]:
    return torch.randint(20, (2, 9), generator=seeded(1)), torch.randint(20, (2, prefix_length), generator=seeded(2))


@pytest.mark.parametrize("prefix_length", [1, 3])
def test_the_loss_is_that_of_each_token_given_the_condition_and_the_tokens_before(prefix_length, transformer):
    tokens, prefix = tokens_and_prefix(prefix_length)
    losses = []
    for position in range(9):
        seen = torch.cat([prefix, tokens[:, :position]], 1)
        log_probs = transformer(seen)[:, -1].log_softmax(-1)
        losses.append(-log_probs.gather(1, tokens[:, position : position + 1]))
    torch.testing.assert_close(next_token_loss(transformer, prefix, tokens), torch.stack(losses).mean())


def test_only_what_is_read_is_corrupted_never_what_is_predicted(transformer):
    tokens, prefix = tokens_and_prefix()
    read = torch.randint(20, tokens.shape, generator=seeded(3))
    logits = transformer(torch.cat([prefix, read], 1)[:, :-1])[:, 2:]
    torch.testing.assert_close(
        next_token_loss(transformer, prefix, tokens, read=read), F.cross_entropy(logits.flatten(0, 1), tokens.flatten())
    )


def test_a_context_reaches_the_model_that_attends_to_it():
    torch.manual_seed(0)
    config = TransformerConfig(vocab_size=20, block_size=10, n_layer=1, n_head=2, n_embd=16, grid=(3, 3), context_dim=6)
    model = Transformer(config).eval()
    tokens, prefix = tokens_and_prefix(1)
    context = noise(2, 4, 6).requires_grad_()
    loss = next_token_loss(model, prefix, tokens, context=context)
    assert torch.autograd.grad(loss, context)[0].abs().sum() > 0


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_label_smoothing_mixes_the_target_with_all_tokens_alike(smoothing):
    logits, tokens = noise(2, 5, 7), torch.randint(7, (2, 5), generator=seeded(1))
    target = (1 - smoothing) * F.one_hot(tokens, 7) + smoothing / 7
    expected = -(target * logits.log_softmax(-1)).sum(-1).mean()
    torch.testing.assert_close(token_loss(logits, tokens, smoothing), expected)


def test_corruption_keeps_the_asked_share_and_draws_the_rest_from_the_vocabulary():
    tokens = torch.full((50, 200), 3)
    corrupted = corrupt_tokens(tokens, 0.7, 1000, seeded(0))
    assert (corrupted == 3).float().mean() == pytest.approx(0.7, abs=0.02)
    others = corrupted[corrupted != 3]
    assert others.min() >= 0 and others.max() < 1000 and others.unique().numel() > 900
    assert torch.equal(corrupted, corrupt_tokens(tokens, 0.7, 1000, seeded(0)))
    assert not torch.equal(corrupted, corrupt_tokens(tokens, 0.7, 1000, seeded(1)))
    assert torch.equal(corrupt_tokens(tokens, 1.0, 1000, seeded(0)), tokens)


@pytest.mark.parametrize("shape", [(1000, 1), (1000, 5), (1000, 4, 3)], ids=["class", "map", "context"])
def test_a_condition_is_dropped_whole_and_as_often_as_asked(shape):
    cond, null = noise(*shape), torch.full(shape[1:], 7.0)
    mixed = drop_condition(cond, null, 0.1, seeded(0))
    dropped = (mixed == 7).flatten(1).all(1)
    assert dropped.float().mean() == pytest.approx(0.1, abs=0.03)
    assert torch.equal(mixed[~dropped], cond[~dropped])
    assert torch.equal(drop_condition(cond, null, 0.0, seeded(0)), cond)
    assert (drop_condition(cond, null, 1.0, seeded(0)) == 7).all()


def test_a_single_null_label_stands_for_a_prefix_of_any_length():
    prefix = torch.randint(20, (4, 6), generator=seeded(0))
    dropped = drop_condition(prefix, torch.tensor(20), 1.0, seeded(0))
    assert dropped.dtype == torch.int64 and (dropped == 20).all() and dropped.shape == (4, 6)
