"""A sheet that shows what was trained, drawn on the CPU from the file that comes back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from taming.checkpoints import load_transformer, load_vqgan
from taming.conditioning import Box, Condition, SegmentationCondition, get_condition
from taming.data import Sample
from taming.models.transformer import Transformer
from taming.sampling import SamplingOptions, generate_image
from taming.training.batches import middle_batch
from taming.training.datasets import Data
from taming.training.recipe import Recipe
from taming.viz import labelled_sheet

NUM_SHOWN = 8


@torch.inference_mode()
def draw_sheet(model: Path, recipe: Recipe, data: Data) -> Image.Image:
    """Held-out images, or maps, above their reconstructions; or samples, above them what they were sampled by."""
    count = min(NUM_SHOWN, len(data.held_out))
    chosen = [len(data.held_out) * number // count for number in range(count)]
    if recipe.task == "transformer":
        return draw_samples(model, recipe, [data.held_out[number] for number in chosen])
    vqgan = load_vqgan(model)
    if recipe.task == "map_vqgan":
        config = SegmentationCondition(num_classes=vqgan.config.in_channels)
        maps = stack_maps([data.held_out[number] for number in chosen])
        rec = vqgan.decode(vqgan.encode(config.map_pixels(maps)).z_q).argmax(1)  # (B, H, W)
        rows = [[show_labels(labels) for labels in stack.numpy()] for stack in (maps, rec)]
    else:
        pixels = middle_batch(data.held_out, chosen, recipe.data.size_px)
        rec = vqgan.decode(vqgan.encode(pixels).z_q)
        rows = [show_images((stack + 1) / 2) for stack in (pixels, rec)]
    return labelled_sheet([*rows[0], *rows[1]], ["held out"] * count + ["reconstructed"] * count, count)


def draw_samples(model: Path, recipe: Recipe, samples: list[Sample]) -> Image.Image:
    transformer, vqgan = load_transformer(model)
    assert vqgan is not None  # it was saved beside it
    kind = recipe.condition.kind
    if kind == "words":
        prompts = [*map(str, recipe.condition.class_prompts.values())][:NUM_SHOWN]
        options = SamplingOptions(top_p=0.95, guidance_scale=2.0)
        images = generate_image(vqgan, transformer, get_condition(transformer, prompt=prompts), options=options)
        return labelled_sheet(show_images(images), prompts, len(prompts) // 2)
    condition = condition_of(transformer, samples)
    images = generate_image(vqgan, transformer, condition, options=SamplingOptions(top_p=0.95))
    originals = [Image.fromarray(sample.image) for sample in samples]
    count = len(samples)
    return labelled_sheet([*originals, *show_images(images)], ["held out"] * count + ["sampled"] * count, count)


def condition_of(transformer: Transformer, samples: list[Sample]) -> Condition:
    """The maps or the boxes of `samples`."""
    if isinstance(transformer.config.condition, SegmentationCondition):
        return get_condition(transformer, segmentation=stack_maps(samples))
    layouts = [[Box(box.label, box.x, box.y, box.width, box.height) for box in sample.boxes] for sample in samples]
    return get_condition(transformer, boxes=layouts)


def stack_maps(samples: list[Sample]) -> Tensor:
    """(B, H, W) int64."""
    return torch.from_numpy(np.stack([np.asarray(sample.segmentation) for sample in samples])).long()


def show_images(images: Tensor) -> list[Image.Image]:
    """(B, 3, H, W) in [0, 1]."""
    levels = (images.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)  # (B, H, W, 3)
    return [Image.fromarray(image.numpy()) for image in levels]


def show_labels(labels: np.ndarray) -> Image.Image:
    """Labels (H, W) as shades of gray."""
    return Image.fromarray((labels.astype(np.float32) / max(1, labels.max()) * 255).astype(np.uint8))
