"""Training the VQGAN of a transformer's maps: segments by cross-entropy, depth by its distance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...conditioning import ConditionConfig, map_pixels
from ...data import Augmentation, CenterCrop, Compose, ResizeShorter, Sample
from ...errors import ConfigError, TamingError
from ...metrics import code_usage, perplexity
from ..datasets import Data
from ..loop import Batch, Figures
from ..losses import reconstruction_loss
from ..recipe import Recipe
from .vqgan import EVALUATION_BATCH, VQGANTask


class MapVQGANTask(VQGANTask):
    """A VQGAN of segments, with a channel for each label, or of depth, as `condition.kind` says; no discriminator.

    Segments are trained as in upstream's `VQSegmentationModel` with `BCELossWithQuant`.

    Raises: ConfigError if the recipe's numbers do not fit each other.
    """

    def __init__(self, recipe: Recipe, data: Data) -> None:
        self.kind = recipe.condition.kind
        if self.kind not in ("segmentation", "depth"):
            raise ConfigError(f"condition.kind is {self.kind}; the maps of task map_vqgan are segmentation or depth.")
        self.main_figure = "bce" if self.kind == "segmentation" else "l1"
        super().__init__(recipe, data)
        channels = self.model.config.in_channels
        self.told = ConditionConfig(kind=self.kind, num_classes=channels)
        if self.settings.perceptual or self.settings.adversarial:
            raise ConfigError("loss: perceptual and adversarial are for pictures. Leave them out for maps.")
        if self.model.config.out_ch != channels or (self.kind == "depth" and channels != 1):
            raise ConfigError(
                f"model: in_channels {channels} and out_ch {self.model.config.out_ch} must be equal: the number of "
                "labels of a segmentation, 1 for depth."
            )

    def draw(self, count: int, augment: Augmentation, rng: np.random.Generator) -> Tensor:
        pictures = self.data.training
        return self.maps([augment(pictures[int(index)], rng) for index in rng.integers(len(pictures), size=count)])

    def maps(self, samples: Sequence[Sample]) -> Tensor:
        """What the VQGAN is given, (B, C, H, W).

        Raises: TamingError if a sample has no map; ConditionError if it has labels without a channel.
        """
        found = [sample.segmentation if self.kind == "segmentation" else sample.depth for sample in samples]
        there = [each for each in found if each is not None]
        if len(there) < len(found):
            raise TamingError(
                f"{len(found) - len(there)} of {len(found)} pictures have no {self.kind}. Set data.maps to a folder of "
                "maps, or data.has_maps for scenes."
            )
        return map_pixels(self.told, torch.from_numpy(np.stack(there)))

    def generator_turn(self, batch: Batch, step: int) -> tuple[Tensor, Figures]:
        maps, settings = batch["pixels"], self.settings
        with self.measure_peaks(step) as peaks:
            rec, codebook_loss = self.reconstruct(maps, step, self.generator)
        if self.kind == "segmentation":
            loss = F.binary_cross_entropy_with_logits(rec, maps)
            figures = {"bce": loss.item()}
        else:
            distance = reconstruction_loss(rec, maps, l1_weight=settings.l1, l2_weight=settings.l2)
            loss, figures = distance.loss, {"l1": distance.l1.item(), "l2": distance.l2.item()}
        return loss + settings.codebook * codebook_loss + self.peak_penalty(peaks), figures

    @torch.no_grad()
    def evaluate(self) -> Figures:
        """Share of pixels that get their label back, or mean distance of depth, and codebook use; on held-out maps."""
        self.model.eval()
        held_out, size_px = self.data.held_out, self.recipe.data.size_px // self.model.factor * self.model.factor
        middle: Augmentation = Compose((ResizeShorter(size_px), CenterCrop(size_px)))
        scores, indices = [], []
        for start in range(0, len(held_out), EVALUATION_BATCH):
            numbers = range(start, min(start + EVALUATION_BATCH, len(held_out)))
            maps = self.maps([middle(held_out[i], np.random.default_rng(0)) for i in numbers]).to(self.device)
            quantized = self.model.encode(maps)
            rec = self.model.decode(quantized.z_q)
            if self.kind == "segmentation":
                scores.append((rec.argmax(1) == maps.argmax(1)).float().mean((1, 2)))
            else:
                scores.append((rec - maps).abs().mean((1, 2, 3)))
            indices.append(quantized.indices)
        peak = self.mean_peak(indices[0])
        self.model.train()
        codes, num_codes = torch.cat([part.flatten() for part in indices]), self.model.config.n_embed
        return {
            "accuracy" if self.kind == "segmentation" else "distance": torch.cat(scores).mean().item(),
            "peak": peak,
            "usage": code_usage(codes, num_codes),
            "perplexity": perplexity(codes, num_codes),
        }
