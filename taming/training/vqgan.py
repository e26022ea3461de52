"""Training a VQGAN: reconstruction and codebook first, then, if asked, perceptual and adversarial losses."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..checkpoints import load_vqgan, save_checkpoint
from ..configs import config_from_dict
from ..errors import ConfigError
from ..metrics import code_usage, perplexity, psnr
from ..models.vqgan import VQModel, VQModelConfig
from ..modules.discriminator import NLayerDiscriminator
from ..modules.perceptual import PerceptualDistance
from ..modules.quantizers import EMAVectorQuantizer, VectorQuantizer
from .batches import Scenes, image_batch, to_pixels
from .kmeans import kmeans
from .loop import Batch, Figures, Turn
from .recipe import Recipe

EMA_AVERAGES = ("quantize.embedding.cluster_size", "quantize.embedding.embed_avg")


@dataclass(frozen=True)
class LossWeights:
    """How much each term counts, and from which step."""

    l1: float = 1.0
    l2: float = 1.0
    codebook: float = 1.0
    perceptual: float = 0.0
    adversarial: float = 0.0  # share of the adaptive weight of eq. 7
    adversarial_from: int = 0  # step; the discriminator trains from the start
    quantize_from: int = 0  # step; the codebook then starts at the k-means centers of the latents


class VQGANTask:
    """Trains a whole VQGAN, or with task `vqgan_decoder` only the decoder of an existing one."""

    main_figure = "l1"

    def __init__(self, recipe: Recipe, scenes: Scenes, held_out: Scenes) -> None:
        self.recipe, self.scenes, self.held_out = recipe, scenes, held_out
        self.weights = config_from_dict(LossWeights, recipe.loss, "loss")
        self.decoder_only = recipe.task == "vqgan_decoder"
        torch.manual_seed(recipe.seed)
        if self.decoder_only:
            self.model = load_vqgan(recipe.first_stage)
            self.model.requires_grad_(False)
            self.model.decoder.requires_grad_(True)
            self.model.post_quant_conv.requires_grad_(True)
        else:
            self.model = VQModel(config_from_dict(VQModelConfig, recipe.model, "model"))
        for phase in recipe.phases:
            if phase.crop_px % self.model.factor:
                raise ConfigError(
                    f"phases: crop_px {phase.crop_px} is not a multiple of {self.model.factor}, the pixels of a token."
                )
        self.modules: dict[str, nn.Module] = {"vqgan": self.model.train()}
        self.turns = [Turn("vqgan", self.model, adamw(self.model, recipe), self.generator_turn)]
        self.perceptual = PerceptualDistance() if self.weights.perceptual else None
        self.discriminator = None
        if self.weights.adversarial:
            self.discriminator = NLayerDiscriminator(ndf=32, n_layers=3)
            self.modules["discriminator"] = self.discriminator
            optimizer = adamw(self.discriminator, recipe)
            self.turns.append(Turn("discriminator", self.discriminator, optimizer, self.discriminator_turn))
        self.generator = torch.Generator()  # of what a quantizer draws; a new seed in every step

    @property
    def device(self) -> torch.device:
        return self.model.decoder.conv_out.weight.device

    def batch(self, step: int, rng: np.random.Generator) -> Batch:
        """Pictures of the phase; before the first that is quantized, the codebook is put among the latents."""
        pixels = image_batch(self.scenes, self.recipe.phase_at(step), rng)
        self.generator.manual_seed(int(rng.integers(2**62)))
        if step == self.weights.quantize_from and not self.decoder_only:
            self.start_codebook(rng)
        return {"pixels": pixels}

    def generator_turn(self, batch: Batch, step: int) -> tuple[Tensor, Figures]:
        rec, codebook_loss = self.reconstruct(batch["pixels"], step, self.generator)
        loss, figures = self.generator_loss(batch["pixels"], rec, step)
        return loss + self.weights.codebook * codebook_loss, figures

    def discriminator_turn(self, batch: Batch, step: int) -> tuple[Tensor, Figures]:
        """As in the reference, the discriminator sees what the generator makes after its own turn."""
        assert self.discriminator is not None
        self.model.quantize.eval()  # or an EMA codebook would follow the same pictures twice
        with torch.no_grad():
            fake, _ = self.reconstruct(batch["pixels"], step, None)
        self.model.quantize.train()
        loss = hinge_loss(self.discriminator(batch["pixels"]), self.discriminator(fake))
        return loss, {"disc": loss.item()}

    def reconstruct(self, pixels: Tensor, step: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        if self.decoder_only:
            with torch.no_grad():
                z_q = self.model.quantize.lookup(self.model.eval().encode(pixels).indices)
            return self.model.train().decode(z_q), pixels.new_zeros(())
        if step < self.weights.quantize_from:
            return self.model.decode(self.model.encode_latents(pixels)), pixels.new_zeros(())
        quantized = self.model.encode(pixels, generator)
        return self.model.decode(quantized.z_q), quantized.loss

    def generator_loss(self, pixels: Tensor, rec: Tensor, step: int) -> tuple[Tensor, Figures]:
        l1, l2 = F.l1_loss(rec, pixels), F.mse_loss(rec, pixels)
        figures = {"l1": l1.item(), "l2": l2.item()}
        loss = self.weights.l1 * l1 + self.weights.l2 * l2
        if self.perceptual is not None:
            perceptual = self.perceptual(rec, pixels).mean()
            figures["perceptual"] = perceptual.item()
            loss = loss + self.weights.perceptual * perceptual
        if self.discriminator is not None and step >= self.weights.adversarial_from:
            realism = -self.discriminator(rec).mean()
            weight = adaptive_weight(loss, realism, self.model.decoder.conv_out.weight)
            figures["realism"], figures["weight"] = realism.item(), weight.item()
            loss = loss + self.weights.adversarial * weight * realism
        return loss, figures

    @torch.no_grad()
    def start_codebook(self, rng) -> None:
        """Put the codes at the k-means centers of about 32 latents each."""
        codebook = self.model.quantize
        if not isinstance(codebook, VectorQuantizer | EMAVectorQuantizer):  # the others do not go by distance
            return
        latents: list[Tensor] = []
        whole = replace(self.recipe.phases[-1], batch_size=16)
        while sum(len(z) for z in latents) < 32 * codebook.num_codes:
            z = self.model.encode_latents(image_batch(self.scenes, whole, rng).to(self.device))
            latents.append(z.permute(0, 2, 3, 1).flatten(0, 2))  # (B*h*w, D)
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        codebook.start_at(kmeans(torch.cat(latents).cpu(), codebook.num_codes, generator))

    @torch.no_grad()
    def evaluate(self) -> Figures:
        """PSNR and codebook use on all held-out scenes, whole."""
        self.model.eval()
        decibels, indices = [], []
        for start in range(0, len(self.held_out.images), 16):
            pixels = to_pixels(self.held_out.images[start : start + 16]).to(self.device)
            quantized = self.model.encode(pixels)
            rec = self.model.decode(quantized.z_q)
            decibels.append(psnr(rec.clamp(-1, 1) / 2, pixels / 2))
            indices.append(quantized.indices)
        self.model.train()
        codes, num_codes = torch.cat(indices), self.model.config.n_embed
        return {
            "psnr": torch.cat(decibels).mean().item(),
            "usage": code_usage(codes, num_codes),
            "perplexity": perplexity(codes, num_codes),
        }

    def export(self, path: Path) -> None:
        """Save the VQGAN for use: an EMA codebook's running averages stay behind in the training state."""
        config = self.model.config
        weights = self.model.state_dict()
        if config.quantizer == "ema":
            config = replace(config, quantizer="vq")
            weights = {key: value for key, value in weights.items() if key not in EMA_AVERAGES}
        finished = VQModel(config)
        finished.load_state_dict(weights)
        save_checkpoint(finished, path, dtype=getattr(torch, self.recipe.export_dtype))


def adamw(module: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    trained = [p for p in module.parameters() if p.requires_grad]
    settings = recipe.optimizer
    return torch.optim.AdamW(trained, settings.lr, betas=settings.betas, weight_decay=settings.weight_decay, fused=True)


def hinge_loss(real: Tensor, fake: Tensor) -> Tensor:
    return 0.5 * (F.relu(1 - real).mean() + F.relu(1 + fake).mean())


def adaptive_weight(reconstruction: Tensor, realism: Tensor, last_layer: Tensor) -> Tensor:
    """Ratio of the two losses' gradients at the last layer (Esser et al. 2021, eq. 7)."""
    (rec_grad,) = torch.autograd.grad(reconstruction, last_layer, retain_graph=True)
    (real_grad,) = torch.autograd.grad(realism, last_layer, retain_graph=True)
    return (rec_grad.norm() / (real_grad.norm() + 1e-4)).clamp(0, 1e4).detach()
