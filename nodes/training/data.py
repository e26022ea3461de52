"""The pictures of a training run: a folder that its recipe names, or what is connected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import Tensor

from ...taming.configs import OPEN
from ...taming.data import ArrayDataset, Dataset, Sample
from ...taming.errors import ConfigError, TamingError
from ...taming.training.datasets import Data, open_data, split
from ...taming.training.recipe import Recipe
from ...taming.user_text import split_list
from .. import host
from ..codec import as_rgb
from ..errors import blaming
from ..text import context_vectors


class CancelablePictures:
    """A data set at each picture of which a prompt can be canceled while `is_cancelable`."""

    def __init__(self, pictures: Dataset) -> None:
        self._pictures, self.is_cancelable = pictures, True

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> Sample:
        if self.is_cancelable:
            host.cancel_if_asked()
        return self._pictures[index]

    @property
    def class_names(self) -> tuple[str, ...]:
        """Those of the pictures."""
        return self._pictures.class_names

    @property
    def fingerprint(self) -> str:
        """That of the pictures."""
        return self._pictures.fingerprint


def check_pictures_named(recipe: Recipe, images: Sequence[Tensor] | None) -> Recipe:
    """The recipe as it is run: connected pictures take the place of its folder.

    Raises: ConfigError if there are neither.
    """
    if images:
        return replace(recipe, data=replace(recipe.data, folder="", with_scenes=False))
    if recipe.data.folder == OPEN:
        raise ConfigError(
            "recipe: it names no pictures. Give a folder in Training Recipe (Taming), or connect pictures to images."
        )
    return recipe


def open_pictures(
    recipe: Recipe,
    cache: Path,
    images: Sequence[Tensor] | None,
    labels: Sequence[str] | None = None,
    contexts: Sequence[np.ndarray] | None = None,
) -> Data:
    """What a run learns from and is measured on.

    Raises: TamingError, naming the input to blame.
    """
    if images:
        return split(connected_pictures(images, labels, contexts), recipe.data.held_out)
    with blaming("recipe"):
        return open_data(recipe.data, cache, check=host.cancel_if_asked)


def connected_pictures(
    images: Sequence[Tensor], labels: Sequence[str] | None, contexts: Sequence[np.ndarray] | None
) -> ArrayDataset:
    """Batches of pictures, (B, H, W, C) in [0, 1] each, with the class and the context of each picture.

    Raises: TamingError, naming the input to blame.
    """
    pictures = []
    for batch in images:
        with blaming("images"):
            pixels = (as_rgb(batch).float().clamp(0, 1) * 255).round().byte().cpu()  # (B, H, W, 3)
        pictures += [item.numpy().copy() for item in pixels]
    if contexts is not None and len(contexts) != len(pictures):
        raise TamingError(f"conditioning: {len(contexts)} for {len(pictures)} pictures. Give one for each picture.")
    if not labels:
        return ArrayDataset(pictures, contexts=contexts)
    given = picture_labels(labels, len(pictures))
    names = tuple(sorted(set(given)))
    return ArrayDataset(pictures, labels=list(map(names.index, given)), class_names=names, contexts=contexts)


def picture_labels(labels: Sequence[str], count: int) -> list[str]:
    """The class of each of `count` pictures: a list of names, or texts that hold several each, as Class Condition's.

    Raises: TamingError if there are not as many names, or one is empty.
    """
    labels = list(map(str, labels))  # a link may bring numbers
    pieces = list(map(split_list, labels))
    names = [piece for each in pieces for piece in each]
    if len(labels) == count:  # one each, which may have a comma
        names = [each[0] if len(each) == 1 else label.strip() for each, label in zip(pieces, labels, strict=True)]
    if len(names) != count:
        raise TamingError(f"labels: {len(names)} for {count} pictures. Give one name for each picture.")
    if "" in names:
        raise TamingError(f"labels: that of picture {names.index('') + 1} is empty. Give one name for each picture.")
    return names


def read_contexts(conditioning: Sequence[list]) -> list[np.ndarray]:
    """The vectors, (S, D) each, that a list of CONDITIONING holds: of one picture or of several each.

    Raises: ConditionError, naming the input to blame.
    """
    with blaming("conditioning"):
        dim = conditioning[0][0][0].shape[-1]
        return [vectors.numpy() for each in conditioning for vectors in context_vectors(each, dim)]
