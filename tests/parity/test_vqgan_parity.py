"""The VQGAN against the reference's own classes, on random weights saved as the published files are.

Tolerances: token indices are equal, all of them. Pixels and latents agree within 1e-5 relative (pixels of published
sizes within 3e-5), measured as the largest absolute difference over the largest absolute value of the reference.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from taming.checkpoints import load_vqgan
from taming.models import VQModel

TOLERANCE = 1e-5
PUBLISHED_DDCONFIG = {
    "double_z": False,
    "z_channels": 256,
    "resolution": 256,
    "in_channels": 3,
    "out_ch": 3,
    "ch": 128,
    "ch_mult": [1, 1, 2, 2, 4],
    "num_res_blocks": 2,
    "attn_resolutions": [16],
    "dropout": 0.0,
}
SMALL_DDCONFIG = {**PUBLISHED_DDCONFIG, "z_channels": 16, "resolution": 32, "ch": 32, "ch_mult": [1, 2, 2]}
SMALL = {
    "plain": {},
    "attention on every level": {"attn_resolutions": [8, 16, 32], "num_res_blocks": 1},
    "pooling": {"resamp_with_conv": False},
    "five channels": {"in_channels": 5, "out_ch": 5},
    "one level": {"ch_mult": [2]},
}


@dataclass(frozen=True)
class Pair:
    """The same weights in the reference and, through the file, in ours; and what the reference makes of a picture."""

    theirs: Any
    ours: VQModel
    pixels: Tensor  # (B, C, H, W)
    z: Tensor  # (B, D, h, w) the reference's latents


def make_pair(
    reference: SimpleNamespace, folder: Path, name: str, ddconfig: dict[str, Any], shape: tuple[int, ...], **params: Any
) -> Pair:
    """Build the reference's `name`, save it as a Lightning checkpoint with its YAML, and load that with ours."""
    params = {"embed_dim": ddconfig["z_channels"], **params, "ddconfig": ddconfig}
    torch.manual_seed(0)
    theirs = build_theirs(reference, name, params)
    pixels = F.interpolate(torch.rand(shape[0], shape[1], 4, 4), shape[2:], mode="bicubic") * 2 - 1
    pixels = pixels + 0.05 * torch.randn(shape)
    with torch.no_grad():
        z = theirs.quant_conv(theirs.encoder(pixels))
        if name == "VQModel":
            spread_codes(theirs.quantize.embedding.weight, z)
    save_published(folder / "last.ckpt", theirs)
    config = {"model": {"base_learning_rate": 4.5e-6, "target": f"taming.models.vqgan.{name}", "params": params}}
    (folder / "last.yaml").write_text(json.dumps(config))  # JSON is YAML
    return Pair(theirs, load_vqgan(folder / "last.ckpt"), pixels, z)


def build_theirs(reference: SimpleNamespace, name: str, params: dict[str, Any]) -> Any:
    unused = {"lossconfig": {"target": "DummyLoss"}}
    if name == "GumbelVQ":
        unused["temperature_scheduler_config"] = {"target": "DummyLoss"}
    model = getattr(reference, name)(**params, **unused).eval()
    for module in model.modules():
        if isinstance(module, nn.GroupNorm):  # which start as the identity
            nn.init.normal_(module.weight, 1.0, 0.2)
            nn.init.normal_(module.bias, 0.0, 0.2)
    return model


def spread_codes(codebook: nn.Parameter, z: Tensor) -> None:
    """Put the codes around the latents `z`, (B, D, h, w), as training does, so that many of them are in use."""
    flat = z.permute(0, 2, 3, 1).flatten(0, 2)  # (B*h*w, D)
    around = flat[torch.arange(len(codebook)) % len(flat)]
    codebook.copy_(around + 0.5 * flat.std() * torch.randn(codebook.shape))


def save_published(path: Path, model: nn.Module) -> None:
    """What PyTorch Lightning 1.0.8 writes, with some of the discriminator that the published files carry along."""
    discriminator = {"loss.discriminator.main.0.weight": torch.randn(64, 3, 4, 4)}
    torch.save(
        {
            "epoch": 3,
            "global_step": 1234,
            "pytorch-lightning_version": "1.0.8",
            "callbacks": {},
            "optimizer_states": [{"state": {0: {"step": 1234, "exp_avg": torch.zeros(8)}}, "param_groups": []}],
            "lr_schedulers": [],
            "state_dict": {**model.state_dict(), **discriminator},
        },
        path,
    )


def relative_error(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.abs().max())


def reference_pixels(pair: Pair, indices: Tensor) -> Tensor:
    """What the reference's `get_codebook_entry` path decodes `indices`, (B, h, w), to."""
    batch, dim, height, width = pair.z.shape
    z_q = pair.theirs.quantize.get_codebook_entry(indices.reshape(-1), shape=(batch, height, width, dim))
    return pair.theirs.decode(z_q)


@pytest.mark.parametrize("changes", SMALL.values(), ids=SMALL)
@torch.no_grad()
def test_a_small_vqgan_tokenizes_and_reconstructs_like_the_reference(reference, changes, tmp_path):
    ddconfig = {**SMALL_DDCONFIG, **changes}
    shape = (2, ddconfig["in_channels"], 32, 48)
    pair = make_pair(reference, tmp_path, "VQModel", ddconfig, shape, n_embed=128, embed_dim=12)
    z_q, loss, (_, _, indices) = pair.theirs.encode(pair.pixels)
    quantized = pair.ours.encode(pair.pixels)
    equal = (quantized.indices.flatten() == indices).double().mean().item()
    assert equal == 1.0, f"{equal:.2%} of {indices.numel()} tokens are equal"
    assert indices.unique().numel() > 20
    assert relative_error(pair.ours.encode_latents(pair.pixels), pair.z) < TOLERANCE
    assert relative_error(quantized.z_q, z_q) < TOLERANCE
    assert relative_error(quantized.loss, loss) < TOLERANCE
    assert relative_error(pair.ours.decode(quantized.z_q), pair.theirs.decode(z_q)) < TOLERANCE
    from_tokens = pair.ours.decode_indices(quantized.indices)
    assert relative_error(from_tokens, reference_pixels(pair, quantized.indices)) < TOLERANCE


@torch.no_grad()
def test_the_published_configuration_tokenizes_and_decodes_like_the_reference(reference, tmp_path):
    """The whole `vqgan_imagenet_f16_1024`, 72 million weights, on a 256 x 256 picture: seconds rather than one."""
    pair = make_pair(reference, tmp_path, "VQModel", PUBLISHED_DDCONFIG, (1, 3, 256, 256), n_embed=1024)
    indices = pair.theirs.quantize(pair.z)[2][2].view(1, 16, 16)
    quantized = pair.ours.encode(pair.pixels)
    equal = (quantized.indices == indices).double().mean().item()
    assert equal == 1.0, f"{equal:.2%} of 256 tokens are equal"
    assert indices.unique().numel() > 100
    # Folded kernels, and sums along channels: 1e-5 from float64, where the reference is 3e-6 from it. A shade of
    # 8 bits is 8e-3.
    error = relative_error(pair.ours.decode_indices(indices), reference_pixels(pair, indices))
    assert error < 3e-5, f"relative error {error:.1e}"


@pytest.fixture(scope="module")
def gumbel(reference: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = tmp_path_factory.mktemp("gumbel")
    return make_pair(reference, folder, "GumbelVQ", SMALL_DDCONFIG, (2, 3, 32, 48), n_embed=96, kl_weight=1e-2)


@torch.no_grad()
def test_gumbel_tokens_are_the_references_likeliest_codes(gumbel):
    indices = gumbel.theirs.quantize.proj(gumbel.z).argmax(1)
    quantized = gumbel.ours.encode(gumbel.pixels)
    equal = (quantized.indices == indices).double().mean().item()
    assert equal == 1.0, f"{equal:.2%} of {indices.numel()} tokens are equal"
    assert indices.unique().numel() > 5
    assert relative_error(gumbel.ours.decode_indices(indices), reference_pixels(gumbel, indices)) < TOLERANCE


@pytest.mark.parametrize("seed", [0, 1])
@torch.no_grad()
def test_stochastic_gumbel_tokens_are_the_references_for_the_same_noise(gumbel, seed):
    """The reference draws from the global generator, ours from the one it is given; the numbers are the same."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        z_q, loss, (_, _, indices) = gumbel.theirs.encode(gumbel.pixels)
    quantized = gumbel.ours.encode(gumbel.pixels, torch.Generator().manual_seed(seed))
    equal = (quantized.indices == indices).double().mean().item()
    assert equal == 1.0, f"{equal:.2%} of {indices.numel()} tokens are equal"
    assert not torch.equal(indices, gumbel.ours.encode(gumbel.pixels).indices)
    assert relative_error(quantized.z_q, z_q) < TOLERANCE
    assert relative_error(quantized.loss, loss) < TOLERANCE


def test_a_training_step_of_gumbel_has_the_references_gradients(gumbel):
    theirs, ours = gumbel.theirs.quantize.train(), gumbel.ours.quantize.train()
    weights = torch.randn(2, 16, 8, 12, generator=torch.Generator().manual_seed(0))
    grads = []
    for quantizer, arguments in ((theirs, ()), (ours, (torch.Generator().manual_seed(5),))):
        z = gumbel.z.clone().requires_grad_()
        with torch.random.fork_rng():
            torch.manual_seed(5)
            result = quantizer(z, *arguments)
        z_q, loss = (result.z_q, result.loss) if arguments else result[:2]
        ((weights * z_q).sum() + loss).backward()
        grads.append(z.grad)
        quantizer.eval()
    assert relative_error(grads[1], grads[0]) < TOLERANCE
