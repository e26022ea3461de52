"""Sheets of what a model in training makes: held-out pictures again, or pictures drawn by what it is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from ...taming.conditioning import ClassCondition, Condition, get_condition
from ...taming.conditioning.prefix import FixedPrefix
from ...taming.models import Transformer, VQModel
from ...taming.training.batches import middle_batch
from ...taming.training.datasets import Data
from ...taming.training.recipe import Recipe
from ...taming.training.tasks.transformer import TransformerTask, stored_rows
from ...taming.viz import labelled_sheet
from .. import host
from ..memory_estimates import decode_bytes
from ..types import VQGANHandle

COLUMNS = 4
PICTURE_PX, SINGLE_PX = 112, 230  # of a picture where there are up to COLUMNS in a row, and of the only one
FONT_PX = 16


class ReconstructionSheet:
    """Held-out pictures above what a VQGAN in training makes of them."""

    def __init__(self, model: VQModel, recipe: Recipe, data: Data) -> None:
        side = recipe.data.size_px // model.factor * model.factor
        self._model = model
        self._pixels = middle_batch(data.held_out, _spread(len(data.held_out)), side)
        self._quantize_from = recipe.loss.get("quantize_from", 0)

    def __call__(self, step: int) -> Image.Image:
        with _evaluating(self._model):
            pixels = self._pixels.to(self._model.decoder.conv_out.weight.device)
            if step < self._quantize_from:  # its codes mean nothing yet
                again = self._model.decode(self._model.encode_latents(pixels))
            else:
                again, _ = self._model(pixels)
        return _sheet([(self._pixels, "held out"), (again, "from tokens")])


class SampleSheet:
    """Pictures that a transformer in training draws, always of the same seed and classes."""

    def __init__(self, model: Transformer, vqgan: VQGANHandle) -> None:
        self._model, self._vqgan = model, vqgan

    def __call__(self, step: int) -> Image.Image:
        config = self._model.config.condition
        labels, names = None, [""] * COLUMNS
        if isinstance(config, ClassCondition):
            labels = [number * config.num_classes // COLUMNS for number in range(COLUMNS)]
            names = [config.names[label] if config.names else "" for label in labels]
        grids = _drawn(self._model, get_condition(self._model, labels, batch_size=COLUMNS))
        pictures = _decoded(self._vqgan, grids).split(1)
        return _sheet(list(zip(pictures, names, strict=True)))


class ToldSheet:
    """Held-out pictures above what a transformer in training draws when it is told the same: maps, boxes, words."""

    def __init__(self, task: TransformerTask, vqgan: VQGANHandle) -> None:
        rows = _spread(len(task.held_out.tokens))
        prefix, tokens = stored_rows(task.held_out, np.array(rows))
        contexts = [task.data.held_out[row].context for row in rows]
        vectors = [torch.from_numpy(context).float() for context in contexts if context is not None]
        self._model, self._vqgan, self._prefix = task.model, vqgan, prefix
        self._tokens = tokens.unflatten(1, task.held_out.grid)  # (B, h, w)
        self._context = pad_sequence(vectors, batch_first=True) if task.config.context_dim is not None else None

    def __call__(self, step: int) -> Image.Image:
        grids = _drawn(self._model, Condition(self._model, FixedPrefix(self._prefix), None, self._context))
        rows = [(_decoded(self._vqgan, self._tokens), "held out"), (_decoded(self._vqgan, grids), "told the same")]
        return _sheet(rows)


def _spread(count: int) -> list[int]:
    """Some of `count` numbers, evenly spread: of all classes, where those are in order."""
    columns = min(COLUMNS, count)
    return [count * (2 * part + 1) // (2 * columns) for part in range(columns)]


def _drawn(model: Transformer, condition: Condition) -> Tensor:
    """What `model` draws when it is told so much, (B, h, w), always of the same seed."""
    with _evaluating(model):
        return model.sample(condition, callback=lambda *_: host.cancel_if_asked())


def _decoded(vqgan: VQGANHandle, grids: Tensor) -> Tensor:
    """Pictures (B, 3, H, W) on the CPU of tokens (B, h, w), decoded one by one."""
    with host.placed(vqgan, decode_bytes(vqgan.config, *grids.shape[1:])) as device:
        return torch.cat([vqgan.model.decode_indices(grid.to(device)).cpu() for grid in grids.split(1)])


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train()


def _sheet(batches: list[tuple[Tensor, str]]) -> Image.Image:
    """Pictures (B, 3, H, W) in [-1, 1], each batch under its label and in a row of its own, unless all fit into one."""
    pictures, labels = [], []
    count = sum(len(pixels) for pixels, _ in batches)
    columns = count if count <= COLUMNS else max(len(pixels) for pixels, _ in batches)
    side_px = SINGLE_PX if columns == 2 else PICTURE_PX
    for pixels, label in batches:
        for picture in host.to_image(pixels).cpu().float():
            image = Image.fromarray((picture * 255).byte().numpy())
            pictures.append(ImageOps.contain(image, (side_px, side_px), Image.Resampling.LANCZOS))
            labels.append(label)
    return labelled_sheet(pictures, labels, columns, FONT_PX)
