"""Training the VQGAN of a transformer's maps: segments by cross-entropy, depth by its distance."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...conditioning import DepthCondition, MapCondition, SegmentationCondition
from ...data import Augmentation, CenterCrop, Compose, ResizeShorter, Sample
from ...errors import ConfigError, TamingError
from ...metrics import code_usage, perplexity
from ..datasets import Data
from ..loop import Batch, Figures
from ..loss_settings import VQGANLoss
from ..losses import reconstruction_loss
from ..recipe import Recipe
from .vqgan import EVALUATION_BATCH, VQGANTask


class MapObjective(ABC):
    """What maps of one kind are, and how far a reconstruction is from them."""

    main_figure: ClassVar[str]
    score_name: ClassVar[str]

    @abstractmethod
    def condition(self, channels: int) -> MapCondition:
        """The condition of a transformer that reads such maps."""

    @abstractmethod
    def read(self, sample: Sample) -> np.ndarray | None:
        """The map of a sample, (H, W), if it has one."""

    @abstractmethod
    def loss(self, rec: Tensor, maps: Tensor, settings: VQGANLoss) -> tuple[Tensor, Figures]:
        """Of reconstructions `rec` of `maps`, both (B, C, H, W)."""

    @abstractmethod
    def score(self, rec: Tensor, maps: Tensor) -> Tensor:
        """Of each reconstruction, (B,)."""


class SegmentationObjective(MapObjective):
    """Segments, a channel for each label, as in upstream's `VQSegmentationModel` with `BCELossWithQuant`."""

    main_figure = "bce"
    score_name = "accuracy"  # share of pixels that get their label back

    def condition(self, channels: int) -> MapCondition:
        return SegmentationCondition(num_classes=channels)

    def read(self, sample: Sample) -> np.ndarray | None:
        return sample.segmentation

    def loss(self, rec: Tensor, maps: Tensor, settings: VQGANLoss) -> tuple[Tensor, Figures]:
        loss = F.binary_cross_entropy_with_logits(rec, maps)
        return loss, {"bce": loss.item()}

    def score(self, rec: Tensor, maps: Tensor) -> Tensor:
        return (rec.argmax(1) == maps.argmax(1)).float().mean((1, 2))


class DepthObjective(MapObjective):
    """Depth in one channel, by its distance."""

    main_figure = "l1"
    score_name = "distance"

    def condition(self, channels: int) -> MapCondition:
        return DepthCondition()

    def read(self, sample: Sample) -> np.ndarray | None:
        return sample.depth

    def loss(self, rec: Tensor, maps: Tensor, settings: VQGANLoss) -> tuple[Tensor, Figures]:
        distance = reconstruction_loss(rec, maps, l1_weight=settings.l1, l2_weight=settings.l2)
        return distance.loss, {"l1": distance.l1.item(), "l2": distance.l2.item()}

    def score(self, rec: Tensor, maps: Tensor) -> Tensor:
        return (rec - maps).abs().mean((1, 2, 3))


OBJECTIVES: dict[str, type[MapObjective]] = {"segmentation": SegmentationObjective, "depth": DepthObjective}


class MapVQGANTask(VQGANTask):
    """A VQGAN of segments or of depth, as `condition.kind` says; no discriminator.

    Raises: ConfigError if the recipe's numbers do not fit each other.
    """

    def __init__(self, recipe: Recipe, data: Data) -> None:
        kind = recipe.condition.kind
        if kind not in OBJECTIVES:
            raise ConfigError(f"condition.kind is {kind}; the maps of task map_vqgan are segmentation or depth.")
        self.objective = OBJECTIVES[kind]()
        self.main_figure = self.objective.main_figure
        super().__init__(recipe, data)
        channels = self.model.config.in_channels
        self.condition = self.objective.condition(channels)
        if self.settings.perceptual or self.settings.adversarial:
            raise ConfigError("loss: perceptual and adversarial are for pictures. Leave them out for maps.")
        if self.model.config.out_ch != channels or (kind == "depth" and channels != 1):
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
        found = [self.objective.read(sample) for sample in samples]
        there = [each for each in found if each is not None]
        if len(there) < len(found):
            raise TamingError(
                f"{len(found) - len(there)} of {len(found)} pictures have no {self.condition.kind}. Set data.maps to a "
                "folder of maps, or data.has_maps for scenes."
            )
        return self.condition.map_pixels(torch.from_numpy(np.stack(there)))

    def generator_turn(self, batch: Batch, step: int) -> tuple[Tensor, Figures]:
        maps, settings = batch["pixels"], self.settings
        with self.measure_peaks(step) as peaks:
            rec, codebook_loss = self.reconstruct(maps, step, self.generator)
        loss, figures = self.objective.loss(rec, maps, settings)
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
            scores.append(self.objective.score(rec, maps))
            indices.append(quantized.indices)
        peak = self.mean_peak(indices[0])
        self.model.train()
        codes, num_codes = torch.cat([part.flatten() for part in indices]), self.model.config.n_embed
        return {
            self.objective.score_name: torch.cat(scores).mean().item(),
            "peak": peak,
            "usage": code_usage(codes, num_codes),
            "perplexity": perplexity(codes, num_codes),
        }
