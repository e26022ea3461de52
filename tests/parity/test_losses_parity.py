"""Training losses against the reference's own code, on the same tensors, in training mode.

Tolerance: every loss and every gradient within 1e-5 relative, measured as the largest absolute difference over the
largest absolute value of the reference. Its LPIPS gets random weights from files made here; nothing is downloaded.
"""

import copy
import importlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from devtools.reference import find_reference, reference_imports
from taming.models.transformer import Transformer, TransformerConfig
from taming.modules.quantizers import VectorQuantizer
from taming.training.losses import (
    DISCRIMINATOR_LOSSES,
    corrupt_tokens,
    generator_loss,
    load_lpips,
    next_token_loss,
    reconstruction_loss,
)
from taming.training.losses.discriminator import NLayerDiscriminator
from taming.training.losses.lpips import LPIPS
from taming.training.schedules import AdversarialSchedule, GumbelTemperature

TOLERANCE = 1e-5
START = 10
HEAD_WIDTHS = (64, 128, 256, 512, 512)


def assert_same(ours: Tensor, theirs: Tensor) -> None:
    scale = theirs.abs().max().clamp_min(1e-30)
    assert ((ours - theirs).abs().max() / scale) <= TOLERANCE


@pytest.fixture(scope="module")
def lpips_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Random heads and a random network, each in the published file's layout."""
    torchvision_vgg = pytest.importorskip("torchvision.models.vgg", reason="the reference builds VGG16 with it")
    folder = tmp_path_factory.mktemp("lpips")
    torch.manual_seed(0)
    features = torchvision_vgg.make_layers(torchvision_vgg.cfgs["D"])
    for layer in features:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.normal_(layer.bias, std=0.1)
    heads = {f"lin{i}.model.1.weight": torch.rand(1, width, 1, 1) for i, width in enumerate(HEAD_WIDTHS)}
    torch.save(heads, folder / "vgg.pth")
    torch.save({f"features.{key}": value for key, value in features.state_dict().items()}, folder / "vgg16.pth")
    return {"heads": folder / "vgg.pth", "network": folder / "vgg16.pth"}


@pytest.fixture(scope="module")
def reference_losses(lpips_files: dict[str, Path]) -> SimpleNamespace:
    """The reference's loss module and scheduler, with its two downloads answered from `lpips_files`."""
    folder = find_reference()
    if folder is None:
        pytest.skip("the reference package is not here; `python3 dev.py test` installs it")
    torchvision_vgg = importlib.import_module("torchvision.models.vgg")

    def vgg16(pretrained: bool) -> SimpleNamespace:
        features = torchvision_vgg.make_layers(torchvision_vgg.cfgs["D"])
        weights = torch.load(lpips_files["network"], weights_only=True)
        features.load_state_dict({key.removeprefix("features."): value for key, value in weights.items()})
        return SimpleNamespace(features=features)

    stubs = {
        "torchvision": {"models": SimpleNamespace(vgg16=vgg16)},
        "taming.util": {"get_ckpt_path": lambda *_: lpips_files["heads"]},
    }
    with reference_imports(folder, stubs):
        losses = importlib.import_module("taming.modules.losses.vqperceptual")
        schedules = importlib.import_module("taming.lr_scheduler")
    return SimpleNamespace(
        VQLPIPSWithDiscriminator=losses.VQLPIPSWithDiscriminator,
        LPIPS=losses.LPIPS,
        Schedule=schedules.LambdaWarmUpCosineScheduler,
    )


class Toy(nn.Module):
    """The smallest thing that has what the loss asks of a VQGAN: reconstructions, a last layer, a codebook loss."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Conv2d(3, 6, 3, padding=1)
        self.conv_out = nn.Conv2d(6, 3, 3, padding=1)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.hidden(pixels).tanh()
        return self.conv_out(hidden), hidden.square().mean()


class Case:
    """The same weights, pictures and settings for both sides."""

    def __init__(self, reference: SimpleNamespace, lpips_files: dict[str, Path], kind: Any, conditional: bool) -> None:
        torch.manual_seed(1)
        self.kind = kind
        self.pixels = torch.rand(3, 3, 32, 32) * 2 - 1
        self.condition = torch.randn(3, 2, 32, 32) if conditional else None
        channels = 5 if conditional else 3
        self.theirs = reference.VQLPIPSWithDiscriminator(
            START,
            codebook_weight=0.7,
            disc_loss=kind,
            disc_conditional=conditional,
            disc_in_channels=channels,
            disc_ndf=8,
            disc_num_layers=2,
            disc_weight=0.8,
            disc_factor=0.9,
            perceptual_weight=0.6,
        ).train()
        with torch.no_grad():  # logits on both sides of the hinge
            self.theirs.discriminator.main[-1].weight.mul_(30)
        self.discriminator = NLayerDiscriminator(channels, ndf=8, n_layers=2).train()
        self.discriminator.load_state_dict(self.theirs.discriminator.state_dict(), strict=True)
        self.lpips = load_lpips(*lpips_files.values(), legacy_dropout=True).train()
        self.schedule = AdversarialSchedule(START)
        self.toy = Toy()

    def their_loss(self, toy: Toy, turn: int, step: int) -> Tensor:
        torch.manual_seed(5)  # for the dropout
        rec, codebook = toy(self.pixels)
        return self.theirs(codebook, self.pixels, rec, turn, step, toy.conv_out.weight, self.condition)[0]

    def our_generator_loss(self, toy: Toy, step: int) -> Tensor:
        torch.manual_seed(5)
        rec, codebook = toy(self.pixels)
        judged = reconstruction_loss(rec, self.pixels, perceptual_weight=0.6, perceptual=self.lpips)
        return generator_loss(
            judged.loss,
            codebook,
            lambda: self.discriminator(rec, self.condition),
            toy.conv_out.weight,
            share=0.8 * 0.9 * self.schedule.weight(step),
            codebook_weight=0.7,
        ).loss

    def our_discriminator_loss(self, toy: Toy, step: int) -> Tensor:
        rec = toy(self.pixels)[0].detach()
        real, fake = self.discriminator(self.pixels, self.condition), self.discriminator(rec, self.condition)
        return 0.9 * self.schedule.trains_discriminator(step) * DISCRIMINATOR_LOSSES[self.kind](real, fake)


@pytest.fixture(params=["hinge", "vanilla"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize("conditional", [False, True], ids=["unconditional", "conditional"])
@pytest.mark.parametrize("step", [0, START - 1, START, START + 500])
def test_the_generators_loss_and_gradients_equal_the_references(reference_losses, lpips_files, kind, conditional, step):
    case = Case(reference_losses, lpips_files, kind, conditional)
    toy, their_toy = case.toy, copy.deepcopy(case.toy)
    ours, theirs = case.our_generator_loss(toy, step), case.their_loss(their_toy, 0, step)
    ours.backward()
    theirs.backward()
    assert_same(ours, theirs)
    for parameter, expected in zip(toy.parameters(), their_toy.parameters(), strict=True):
        assert parameter.grad is not None and expected.grad is not None and expected.grad.abs().max() > 0
        assert_same(parameter.grad, expected.grad)


@pytest.mark.parametrize("conditional", [False, True], ids=["unconditional", "conditional"])
@pytest.mark.parametrize("step", [START - 1, START])
def test_the_discriminators_loss_and_gradients_equal_the_references(
    reference_losses, lpips_files, kind, conditional, step
):
    case = Case(reference_losses, lpips_files, kind, conditional)
    ours, theirs = case.our_discriminator_loss(case.toy, step), case.their_loss(case.toy, 1, step)
    ours.backward()
    theirs.backward()
    assert (theirs > 0) == (step >= START)
    assert_same(ours, theirs)
    pairs = zip(case.discriminator.parameters(), case.theirs.discriminator.parameters(), strict=True)
    for parameter, expected in pairs:
        assert parameter.grad is not None and expected.grad is not None
        assert (expected.grad.abs().max() > 1e-6) == (step >= START)
        assert_same(parameter.grad, expected.grad)
    for buffer, expected in zip(case.discriminator.buffers(), case.theirs.discriminator.buffers(), strict=True):
        assert_same(buffer, expected)


@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "dropout"])
def test_lpips_and_its_gradient_equal_the_references(reference_losses, lpips_files, training):
    theirs = reference_losses.LPIPS().train(training)
    ours = load_lpips(*lpips_files.values(), legacy_dropout=training).train()
    torch.manual_seed(2)
    a, b = torch.rand(2, 3, 48, 40) * 2 - 1, torch.rand(2, 3, 48, 40) * 2 - 1
    results = []
    for module in (ours, theirs):
        picture = a.clone().requires_grad_()
        torch.manual_seed(3)
        distance = module(picture, b).flatten()
        results.append((distance, torch.autograd.grad(distance.sum(), picture)[0]))
    assert results[1][0].min() > 0.1
    for own, expected in zip(*results, strict=True):
        assert_same(own, expected)


def test_lpips_has_the_references_keys(reference_losses):
    assert set(LPIPS().state_dict()) == set(reference_losses.LPIPS().state_dict())


@pytest.mark.parametrize("legacy", [True, False])
def test_the_codebook_loss_and_its_gradients_equal_the_references(reference, legacy):
    theirs = reference.VectorQuantizer2(24, 5, beta=0.25, legacy=legacy)
    nn.init.normal_(theirs.embedding.weight)
    ours = VectorQuantizer(24, 5, beta=0.25, legacy=legacy)
    ours.load_state_dict(theirs.state_dict())
    z = torch.randn(2, 5, 6, 7, requires_grad=True)
    quantized, (z_q, loss, _) = ours(z), theirs(z)
    pull = torch.randn_like(z_q)
    own = torch.autograd.grad(quantized.loss + (quantized.z_q * pull).sum(), (z, ours.embedding.weight))
    expected = torch.autograd.grad(loss + (z_q * pull).sum(), (z, theirs.embedding.weight))
    assert_same(quantized.loss, loss)
    for grad, expected_grad in zip(own, expected, strict=True):
        assert_same(grad, expected_grad)


@pytest.mark.parametrize(
    ("start", "peak", "final", "warmup_steps", "decay_steps"),
    [(0.9, 0.9, 1e-6, 0, 1_000_001), (1.0, 1.0, 1 / 16, 100, 1000), (0.1, 2.0, 0.5, 7, 8)],
)
def test_gumbel_temperatures_are_the_references_numbers(
    reference_losses, start, peak, final, warmup_steps, decay_steps
):
    theirs = reference_losses.Schedule(warmup_steps, final, peak, start, decay_steps)
    ours = GumbelTemperature(start, peak, final, warmup_steps, decay_steps)
    steps = {0, 1, warmup_steps - 1, warmup_steps, warmup_steps + 1, decay_steps // 2, decay_steps, 2 * decay_steps}
    for step in sorted(step for step in steps if step >= 0):
        assert ours.at(step) == theirs(step)


SHAPE = {"vocab_size": 40, "block_size": 20, "n_layer": 2, "n_head": 2, "n_embd": 24}


@pytest.mark.parametrize("pkeep", [1.0, 0.7])
@pytest.mark.parametrize("prefix_length", [1, 4])
def test_the_transformers_loss_and_gradients_equal_the_references(reference, pkeep, prefix_length):
    net, z, c = make_net2net(reference, pkeep, prefix_length)
    ours = Transformer(TransformerConfig(**SHAPE, grid=(4, 4))).train()
    weights = {key: value for key, value in net.transformer.state_dict().items() if not key.endswith("attn.mask")}
    ours.load_state_dict(weights, strict=True)

    torch.manual_seed(11)
    theirs = net.shared_step({"image": torch.zeros(3, 4, 4, 3), "class_label": torch.zeros(3)}, 0)
    read = corrupt_tokens(z, pkeep, SHAPE["vocab_size"], torch.Generator().manual_seed(11))
    assert (pkeep < 1) == (not torch.equal(read, z))
    loss = next_token_loss(ours, c, z, read=read)
    theirs.backward()
    loss.backward()
    assert_same(loss, theirs)
    expected = dict(net.transformer.named_parameters())
    for name, parameter in ours.named_parameters():
        assert parameter.grad is not None
        if name.endswith("attn.key.bias"):  # softmax does not see it: both gradients are rounding
            assert parameter.grad.abs().max() < 1e-7 and expected[name].grad.abs().max() < 1e-7
        else:
            assert_same(parameter.grad, expected[name].grad)


def make_net2net(reference: SimpleNamespace, pkeep: float, prefix_length: int) -> tuple[Any, Tensor, Tensor]:
    """The reference's model in training, whose stages give fixed tokens; and these tokens."""
    torch.manual_seed(0)
    z, c = torch.randint(40, (3, 16)), torch.randint(40, (3, prefix_length))

    def answering(tokens: Tensor) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
        return lambda _: (tokens, tokens)

    net = reference.Net2NetTransformer.__new__(reference.Net2NetTransformer)
    nn.Module.__init__(net)
    net.first_stage_key, net.cond_stage_key, net.pkeep = "image", "class_label", pkeep
    net.transformer = reference.GPT(**SHAPE)
    for name, parameter in net.transformer.named_parameters():
        nn.init.normal_(parameter, float("ln" in name and name.endswith("weight")), 0.2)
    net.encode_to_z, net.encode_to_c = answering(z), answering(c)
    return net.train(), z, c
