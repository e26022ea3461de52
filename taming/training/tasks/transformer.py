"""Training a transformer on the tokens of a finished tokenizer, told of each picture what its recipe says."""

from __future__ import annotations

import filecmp
import hashlib
import itertools
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ...checkpoints import load_vqgan, save_checkpoint, weights_file
from ...conditioning import BoxCondition, ClassCondition, WordCondition
from ...configs import config_from_dict
from ...data import Augmentation, Dataset
from ...errors import ConfigError, TamingError
from ...file_names import written_at_once
from ...models.transformer import Transformer, TransformerConfig
from ...models.vqgan import VQModel
from ..batches import augmentation
from ..captions import drop_words
from ..conditions import make_condition_config, shuffle_objects, with_condition
from ..datasets import Data
from ..encoder import PictureReader
from ..loop import Batch, Figures, Turn
from ..loss_settings import TransformerLoss
from ..losses import corrupt_tokens, drop_condition, next_token_logits, next_token_loss, token_loss
from ..optim import adamw
from ..recipe import Recipe
from ..sources import file_hash
from ..token_cache import TokenSet, cached_tokens
from .custom import describe_plugged, loss_name
from .init_from import start_transformer_from

# A loss of one's own: logits (B, L, V) and tokens (B, L), to ().
ExtraTokenLoss = Callable[[Tensor, Tensor], Tensor]

EVALUATION_BATCH = 20


class TransformerTask:
    """Next-token prediction over the grid after the tokens of a condition (Esser et al. 2021, eq. 9).

    Args:
        model: instead of the one that the recipe describes: a Transformer of that configuration, condition included,
            with parts of one's own.
        augment: varies a whole sample before the recipe's own crops, flips and colors; for pictures that are read in
            every step (`data.cache_tokens: false`).
        extra_loss: of logits (B, L, V) and tokens (B, L), added to the cross-entropy and reported under its name. A
            module is saved with the state, and is not trained.

    A run goes on only with the same objects.

    Raises: TamingError if recipe, data and models do not fit each other.
    """

    main_figure = "loss"

    def __init__(
        self,
        recipe: Recipe,
        data: Data,
        cache: Path,
        device: torch.device,
        *,
        model: Transformer | None = None,
        augment: Augmentation | None = None,
        extra_loss: ExtraTokenLoss | None = None,
    ) -> None:
        self.recipe, self.data, self.augment, self.extra_loss = recipe, data, augment, extra_loss
        self.plugged = describe_plugged(model=model, augment=augment, extra_loss=extra_loss)
        if augment is not None and recipe.data.cache_tokens:
            raise ConfigError("augment= varies pictures in every step. Set data.cache_tokens=false with it.")
        self.settings = config_from_dict(TransformerLoss, recipe.loss, "loss")
        config = config_from_dict(TransformerConfig, recipe.model, "model")
        first_stage = load_vqgan(recipe.first_stage).to(device)
        self.stage = load_vqgan(recipe.condition.stage).to(device) if recipe.condition.stage else None
        condition = make_condition_config(recipe.condition, data, first_stage, self.stage, config.vocab_size)
        condition = replace(condition, null_context=config.context_dim is not None and self.settings.null_rate > 0)
        self.config = with_condition(config, condition)
        self.reader = PictureReader(first_stage, condition, self.stage, config.vocab_size)
        self.held_out = self._read(data.held_out, cache, flips=False)
        self.training = self._read(data.training, cache, flips=recipe.data.flip) if recipe.data.cache_tokens else None
        self._check_shape(first_stage)
        self.model = self._make_model(model)
        self.modules: dict[str, nn.Module] = {"transformer": self.model.train()}
        if isinstance(extra_loss, nn.Module):
            self.modules["extra_loss"] = extra_loss.requires_grad_(False)
        self.turns = [Turn("transformer", self.model, adamw(self.model, recipe.optimizer), self.turn_loss)]

    def _make_model(self, own: Transformer | None) -> Transformer:
        if own is not None and own.config != self.config:
            raise ConfigError(f"model= is of another configuration than the recipe's, which is {self.config}.")
        model = own or Transformer(self.config)
        if own is None:
            model.init_weights(torch.Generator().manual_seed(self.recipe.seed))
        if self.recipe.init_from:
            start_transformer_from(model, self.recipe.init_from)
        return model

    def _read(self, pictures: Dataset, cache: Path, flips: bool) -> TokenSet:
        files = [self.recipe.first_stage, self.recipe.condition.stage]
        hashes = [file_hash(weights_file(file)) for file in files if file]
        told = [hashes, self.config.condition.to_dict(), self.config.vocab_size]
        reader_id = hashlib.sha256(json.dumps(told).encode()).hexdigest()
        return cached_tokens(pictures, self.reader, reader_id, self.recipe.data.size_px, cache, flips=flips)

    def _check_shape(self, first_stage: VQModel) -> None:
        """Raise ConfigError unless the model can read what its data is made of."""
        config, grid, told = self.config, self.held_out.grid, self.held_out.prefix.shape[1]
        stages = [first_stage] if self.stage is None else [first_stage, self.stage]
        null_label = config.condition.null_label if isinstance(config.condition, ClassCondition) else None
        tokens = max([stage.config.num_tokens for stage in stages] + [(null_label or 0) + 1])
        if config.grid != grid or config.vocab_size < tokens:
            raise ConfigError(
                f"model: it draws {config.grid[0]} x {config.grid[1]} of {config.vocab_size} tokens, and the pictures "
                f"are {grid[0]} x {grid[1]} of {tokens}. Set model.grid and model.vocab_size, or data.size_px."
            )
        length = told + grid[0] * grid[1] - 1  # the last token is never read
        if config.block_size < length:
            raise ConfigError(
                f"model: it reads block_size {config.block_size} tokens, and {told} of condition and {grid[0]} x "
                f"{grid[1]} of the picture are read as {length}. Set model.block_size={length}."
            )

    def batch(self, step: int, rng: np.random.Generator) -> Batch:
        """What is told, of some pictures nothing; the tokens; and what of them is read."""
        count = self.recipe.phase_at(step).batch_size
        if self.training is None:
            numbers = rng.integers(len(self.data.training), size=count)
            augment = augmentation(self.recipe.data, 0, self.augment)
            reading = self.reader([augment(self.data.training[int(number)], rng) for number in numbers])
            prefix, tokens = reading.prefix, reading.tokens.flatten(1)  # (B, L)
        else:
            rows = rng.integers(len(self.training.tokens), size=count)
            numbers = rows // (1 + self.recipe.data.flip)
            prefix, tokens = stored_rows(self.training, rows)
        seed = int(rng.integers(2**62))
        generator = torch.Generator().manual_seed(seed)
        condition = self.config.condition
        if isinstance(condition, BoxCondition):
            prefix = shuffle_objects(prefix, condition.boxes, generator)
        null = condition.null_tokens(self.config.vocab_size)
        if null is not None:
            prefix = drop_condition(prefix, torch.tensor(null), self.settings.null_rate, generator)
        if isinstance(condition, WordCondition):
            prefix = drop_words(prefix, condition, self.config.vocab_size, self.settings.word_dropout, generator)
        read = corrupt_tokens(tokens, self.settings.pkeep, self.config.vocab_size, generator)
        batch = {"prefix": prefix, "tokens": tokens, "read": read}
        if self.config.context_dim is not None:
            context = self._contexts(self.data.training, numbers)
            same = torch.Generator().manual_seed(seed)  # what has lost its label loses its context too
            batch["context"] = drop_condition(context, torch.zeros(()), self.settings.null_rate, same)
        return batch

    def _contexts(self, pictures: Dataset, numbers: np.ndarray) -> Tensor:
        """The contexts of some pictures, (B, S, D), shorter ones filled up with zeros.

        Raises: TamingError if one has none, or one of another width.
        """
        vectors = []
        for number in numbers:
            context = pictures[int(number)].context
            if context is None or context.ndim != 2 or context.shape[1] != self.config.context_dim:
                found = "none" if context is None else f"an array of {context.shape}"
                raise TamingError(
                    f"The transformer attends to (S, {self.config.context_dim}) vectors, model.context_dim, and "
                    f"picture {number} came with {found}. Give every picture the encoding of its caption."
                )
            vectors.append(torch.from_numpy(context).float())
        return nn.utils.rnn.pad_sequence(vectors, batch_first=True)

    def turn_loss(self, batch: Batch, step: int) -> tuple[Tensor, Figures]:
        logits = next_token_logits(self.model, batch["prefix"], batch["read"], batch.get("context"))
        loss = token_loss(logits, batch["tokens"], self.settings.label_smoothing)
        figures = {"loss": loss.item()}
        if self.extra_loss is not None:
            extra = self.extra_loss(logits, batch["tokens"])
            figures[loss_name(self.extra_loss)], loss = extra.item(), loss + extra
        return loss, figures

    @torch.no_grad()
    def evaluate(self) -> Figures:
        """Loss on the held-out pictures."""
        self.model.eval()
        device, total, count = self.model.pos_emb.device, 0.0, len(self.held_out.tokens)
        for start in range(0, count, EVALUATION_BATCH):
            rows = np.arange(start, min(start + EVALUATION_BATCH, count))
            prefix, tokens = (part.to(device) for part in stored_rows(self.held_out, rows))
            context = None
            if self.config.context_dim is not None:
                context = self._contexts(self.data.held_out, rows).to(device)
            total += len(rows) * next_token_loss(self.model, prefix, tokens, context=context).item()
        self.model.train()
        return {"held_out_loss": total / count}

    def export(self, path: Path) -> None:
        """Save the transformer with the VQGAN of its maps, and its tokenizer beside it, where a file looks for one."""
        first_stage = copy_beside(weights_file(self.recipe.first_stage), path)
        dtype = getattr(torch, self.recipe.export_dtype)
        self.model.cond_stage = self.stage  # only here: it is not trained
        try:
            save_checkpoint(self.model, path, dtype=dtype, first_stage=first_stage)
        finally:
            self.model.cond_stage = None


def copy_beside(source: Path, path: Path) -> Path:
    """The file `source` in the folder of `path`, copied if it is not there; others of its name keep it."""
    stem = source.stem if source.name != path.name else "first_stage"
    stems = itertools.chain([stem], (f"{stem}_{number}" for number in itertools.count(2)))
    for copy in (path.with_name(stem + source.suffix) for stem in stems):
        if not os.path.lexists(copy):
            break
        if copy.is_file() and filecmp.cmp(source, copy, shallow=False):
            return copy
    with written_at_once(copy, overwrite=False) as file:
        shutil.copyfile(source, file)
    return copy


def stored_rows(tokens: TokenSet, rows: np.ndarray) -> tuple[Tensor, Tensor]:
    """Prefix (B, S) and tokens (B, L) of some rows."""
    return torch.from_numpy(tokens.prefix[rows].astype(np.int64)), torch.from_numpy(
        tokens.tokens[rows].astype(np.int64)
    )
