"""Training a VQGAN: reconstruction and codebook first, then, if asked, perceptual and adversarial losses."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...checkpoints import load_vqgan, save_checkpoint, write_weights
from ...configs import config_from_dict
from ...data import Augmentation
from ...errors import ConfigError
from ...metrics import code_usage, perplexity, psnr
from ...models.vqgan import VQModel, VQModelConfig
from ...modules.quantizers import CosineQuantizer, EMAVectorQuantizer, GumbelQuantizer, Quantized, VectorQuantizer
from ...modules.quantizers.usage import CodeUsage, restart_dead_codes
from ..batches import augmentation, image_batch, middle_batch
from ..datasets import Data
from ..kmeans import kmeans
from ..loop import Batch, Figures, Turn
from ..loss_settings import VQGANLoss
from ..losses import (
    DISCRIMINATOR_LOSSES,
    LeCam,
    PeakWatch,
    entropy_loss,
    generator_loss,
    load_lpips,
    peak_loss,
    r1_penalty,
    reconstruction_loss,
)
from ..losses.discriminator import NLayerDiscriminator
from ..losses.efficientnet import PerceptualDistance
from ..optim import adamw
from ..recipe import Recipe
from ..schedules import AdversarialSchedule
from .custom import describe_plugged, has_own_layers, loss_name
from .identity_start import start_at_identity
from .init_from import EMA_AVERAGES, start_vqgan_from

log = logging.getLogger(__name__)

# A loss of one's own: pictures and their reconstructions, (B, 3, H, W) about [-1, 1], to ().
ExtraLoss = Callable[[Tensor, Tensor], Tensor]

EVALUATION_BATCH = 16
PEAKS_EVERY = 8  # steps; the penalty counts as much more then (lazy regularization, Karras et al. 2020, section 3.1)


class VQGANTask:
    """Trains a whole VQGAN, or with task `vqgan_decoder` only the decoder of an existing one.

    Args:
        model: instead of the one that the recipe's `model` section describes, which is then empty or of the same
            configuration: a VQModel with parts of one's own, such as another encoder.
        augment: varies a whole sample before the recipe's own scaling, cropping, flips and colors.
        extra_loss: added to the reconstruction loss and reported under its name. A module is saved with the state, and
            is not trained.

    A run goes on only with the same objects.

    Raises: ConfigError if they do not fit the recipe, or the recipe's numbers do not fit each other.
    """

    main_figure = "l1"

    def __init__(
        self,
        recipe: Recipe,
        data: Data,
        *,
        model: VQModel | None = None,
        augment: Augmentation | None = None,
        extra_loss: ExtraLoss | None = None,
    ) -> None:
        self.recipe, self.data, self.augment, self.extra_loss = recipe, data, augment, extra_loss
        self.plugged = describe_plugged(model=model, augment=augment, extra_loss=extra_loss)
        self.settings = config_from_dict(VQGANLoss, recipe.loss, "loss")
        self.decoder_only = recipe.task == "vqgan_decoder"
        torch.manual_seed(recipe.seed)
        self.model = self._make_model(model)
        self._check_crops()
        self.modules: dict[str, nn.Module] = {"vqgan": self.model.train()}
        if isinstance(extra_loss, nn.Module):
            self.modules["extra_loss"] = extra_loss.requires_grad_(False)
        optimizer = adamw(self.model, recipe.optimizer)
        self.turns = [Turn("vqgan", self.model, optimizer, self.generator_turn, after=self.restart)]
        self.perceptual = None
        if self.settings.perceptual:
            self.perceptual = load_lpips(*self.settings.lpips) if self.settings.lpips else PerceptualDistance()
        self.schedule = AdversarialSchedule(
            self.settings.adversarial_from, self.settings.adversarial_ramp, self.settings.discriminator_from
        )
        if self.settings.adversarial:
            self._add_discriminator()
        self.peaks = PeakWatch(self.model.decoder)
        self.usage = None
        if self.settings.restart_below and isinstance(self.model.quantize, VectorQuantizer | CosineQuantizer):
            self.usage = self.modules["usage"] = CodeUsage(self.model.quantize.num_codes)
        self.generator = torch.Generator()  # of what a quantizer draws; a new seed in every step
        self.latents: Tensor | None = None  # the last that were quantized, and their codes
        self.chosen: Tensor | None = None

    def _make_model(self, own: VQModel | None) -> VQModel:
        if self.decoder_only:
            if own is not None:
                raise ConfigError("task vqgan_decoder trains the model of first_stage: leave out model=.")
            model = load_vqgan(self.recipe.first_stage).requires_grad_(False)
            model.decoder.requires_grad_(True)
            model.post_quant_conv.requires_grad_(True)
            return model
        if own is None:
            model = VQModel(config_from_dict(VQModelConfig, self.recipe.model, "model"))
        else:
            model = own
            if self.recipe.model and config_from_dict(VQModelConfig, self.recipe.model, "model") != own.config:
                raise ConfigError("model: the recipe describes another model than model= is. Leave the section empty.")
        if self.recipe.init_from:
            start_vqgan_from(model, self.recipe.init_from)
        elif self.recipe.identity_start:
            start_at_identity(model)
        return model

    def _check_crops(self) -> None:
        for side in {phase.crop_px or self.recipe.data.size_px for phase in self.recipe.phases}:
            if side % self.model.factor:
                raise ConfigError(
                    f"phases: crop_px {side} is not a multiple of {self.model.factor}, the pixels of a token."
                )

    def _add_discriminator(self) -> None:
        self.discriminator = self.modules["discriminator"] = NLayerDiscriminator(ndf=32, n_layers=3)
        self.lecam = self.modules["lecam"] = LeCam()
        self.turns.append(
            Turn(
                "discriminator",
                self.discriminator,
                adamw(self.discriminator, self.recipe.optimizer),
                self.discriminator_turn,
                is_due=self.schedule.trains_discriminator,
            )
        )

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def batch(self, step: int, rng: np.random.Generator) -> Batch:
        """Pictures of the phase; before the first that is quantized, the codebook is put among the latents."""
        phase = self.recipe.phase_at(step)
        augment = augmentation(self.recipe.data, phase.crop_px, self.augment)
        pixels = self.draw(phase.batch_size, augment, rng)
        self.generator.manual_seed(int(rng.integers(2**62)))
        if step == self.settings.quantize_from and not self.decoder_only and not self.recipe.init_from:
            self.start_codebook(rng)
        if self.settings.gumbel is not None and isinstance(self.model.quantize, GumbelQuantizer):
            self.model.quantize.temperature = self.settings.gumbel.at(step)
        return {"pixels": pixels}

    def draw(self, count: int, augment: Augmentation, rng: np.random.Generator) -> Tensor:
        """Random pictures to train on, varied; (B, C, H, W)."""
        return image_batch(self.data.training, count, augment, rng)

    def generator_turn(self, batch: Batch, step: int) -> tuple[Tensor, Figures]:
        pixels, settings = batch["pixels"], self.settings
        if self.perceptual is not None:
            self.perceptual.to(pixels.device)  # it is no part of the state, so the loop does not place it
        with self.measure_peaks(step) as peaks:
            rec, codebook_loss = self.reconstruct(pixels, step, self.generator)
        distance = reconstruction_loss(
            rec,
            pixels,
            l1_weight=settings.l1,
            l2_weight=settings.l2,
            perceptual_weight=settings.perceptual,
            perceptual=self.perceptual,
        )
        figures, loss = Figures(), distance.loss
        if self.extra_loss is not None:
            extra = self.extra_loss(pixels, rec)
            figures[loss_name(self.extra_loss)], loss = extra.item(), loss + extra
        share = settings.adversarial * self.schedule.weight(step)
        total = generator_loss(
            loss,
            codebook_loss,
            lambda: self.discriminator(rec),
            [weight for weight in self.model.decoder.parameters() if weight.ndim > 1][-1],
            share=share,
            codebook_weight=settings.codebook,
        )
        figures |= {"l1": distance.l1.item(), "l2": distance.l2.item()}
        if self.perceptual is not None:
            figures["perceptual"] = distance.perceptual.item()
        if share:
            figures |= {"realism": total.realism.item(), "weight": total.adaptive.item()}
        return total.loss + self.peak_penalty(peaks), figures

    def discriminator_turn(self, batch: Batch, step: int) -> tuple[Tensor, Figures]:
        """As in the reference, the discriminator sees what the generator makes after its own turn."""
        self.model.quantize.eval()  # or an EMA codebook would follow the same pictures twice
        with torch.no_grad():
            fake, _ = self.reconstruct(batch["pixels"], step, None)
        self.model.quantize.train()
        pixels = batch["pixels"].requires_grad_(bool(self.settings.r1))
        real_logits, fake_logits = self.discriminator(pixels), self.discriminator(fake)
        loss = DISCRIMINATOR_LOSSES[self.settings.adversarial_kind](real_logits, fake_logits)
        figures = {"disc": loss.item()}
        if self.settings.r1:
            loss = loss + self.settings.r1 * r1_penalty(real_logits, pixels)
        if self.settings.lecam:
            loss = loss + self.settings.lecam * self.lecam(real_logits, fake_logits)
        return loss, figures

    def reconstruct(self, pixels: Tensor, step: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """The pictures again, and what the codebook adds to the loss."""
        if self.decoder_only:
            with torch.no_grad():
                z_q = self.model.quantize.lookup(self.model.eval().encode(pixels).indices)
            return self.model.train().decode(z_q), pixels.new_zeros(())
        z = self.model.encode_latents(pixels)
        if step < self.settings.quantize_from:
            return self.model.decode(z), pixels.new_zeros(())
        quantized: Quantized = self.model.quantize(z, generator)
        self.latents, self.chosen = z.detach(), quantized.indices
        loss = quantized.loss
        if self.settings.entropy:
            scores = self.model.quantize.scores(z)
            loss = loss + self.settings.entropy * entropy_loss(scores, self.settings.entropy_temperature).loss
        return self.model.decode(quantized.z_q), loss

    def measure_peaks(self, step: int) -> AbstractContextManager[list[Tensor]]:
        """`PeakWatch.measure` in the steps that penalize peaks, nothing in the others."""
        if self.settings.peaks and step % PEAKS_EVERY == 0:
            return self.peaks.measure()
        self.peaks.stop()
        return nullcontext([])

    def peak_penalty(self, ratios: list[Tensor]) -> Tensor | float:
        return PEAKS_EVERY * self.settings.peaks * peak_loss(ratios) if ratios else 0.0

    def restart(self) -> None:
        """Put codes that are not in use where latents are."""
        if self.usage is None or self.latents is None or self.chosen is None:
            return
        assert isinstance(self.model.quantize, VectorQuantizer | CosineQuantizer)
        self.usage.update(self.chosen)
        restart_dead_codes(self.model.quantize, self.usage, self.latents, self.generator, self.settings.restart_below)

    @torch.no_grad()
    def start_codebook(self, rng: np.random.Generator) -> None:
        """Put the codes at the k-means centers of about 32 latents each."""
        codebook = self.model.quantize
        if not isinstance(codebook, VectorQuantizer | EMAVectorQuantizer | CosineQuantizer):
            return  # the others do not go by distance
        augment = augmentation(self.recipe.data, self.recipe.phases[-1].crop_px, self.augment)
        latents: list[Tensor] = []
        while sum(len(z) for z in latents) < 32 * codebook.num_codes:
            pixels = self.draw(EVALUATION_BATCH, augment, rng).to(self.device)
            z = self.model.encode_latents(pixels).permute(0, 2, 3, 1).flatten(0, 2)  # (B*h*w, D)
            latents.append(F.normalize(z, dim=1) if isinstance(codebook, CosineQuantizer) else z)
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        codebook.start_at(kmeans(torch.cat(latents).cpu(), codebook.num_codes, generator))

    @torch.no_grad()
    def evaluate(self) -> Figures:
        """PSNR and codebook use on the middles of all held-out pictures."""
        self.model.eval()
        decibels, indices = [], []
        held_out, size_px = self.data.held_out, self.recipe.data.size_px // self.model.factor * self.model.factor
        for start in range(0, len(held_out), EVALUATION_BATCH):
            chosen = range(start, min(start + EVALUATION_BATCH, len(held_out)))
            pixels = middle_batch(held_out, chosen, size_px).to(self.device)
            quantized = self.model.encode(pixels)
            rec = self.model.decode(quantized.z_q)
            decibels.append(psnr(rec.clamp(-1, 1) / 2, pixels / 2))
            indices.append(quantized.indices)
        peak = self.mean_peak(indices[0])
        self.model.train()
        codes, num_codes = torch.cat([part.flatten() for part in indices]), self.model.config.n_embed
        return {
            "psnr": torch.cat(decibels).mean().item(),
            "peak": peak,
            "usage": code_usage(codes, num_codes),
            "perplexity": perplexity(codes, num_codes),
        }

    @torch.enable_grad()  # see `PeakWatch.measure`; therefore one image at a time, to save memory
    def mean_peak(self, indices: Tensor) -> float:
        """Mean over images, tokens (B, h, w), of the largest peak in the decoder's feature maps; 1 without any map."""
        peaks = []
        for tokens in indices.split(1):
            with self.peaks.measure() as ratios:
                self.model.decode_indices(tokens)
            peaks.append(max((ratio.item() for ratio in ratios), default=1.0))
        self.peaks.stop()
        return sum(peaks) / len(peaks)

    def export(self, path: Path) -> None:
        """Save the VQGAN for use: an EMA codebook's running averages stay behind in the training state.

        Of a model with layers of one's own the weights are saved alone: `read_checkpoint` gives them back.
        """
        config, weights = self.model.config, self.model.state_dict()
        with torch.device("meta"):
            described = VQModel(config)
        if has_own_layers(self.model, described):
            log.warning("%s holds the weights alone: build your model, then load them into it.", path.name)
            write_weights({name: weight.cpu().contiguous() for name, weight in weights.items()}, path)
            return
        if config.quantizer == "ema":
            config = replace(config, quantizer="vq")
            weights = {key: value for key, value in weights.items() if key not in EMA_AVERAGES}
        finished = VQModel(config)
        finished.load_state_dict(weights)
        save_checkpoint(finished, path, dtype=getattr(torch, self.recipe.export_dtype))
