"""Pictures that are in memory already: the host's image lists, text sets, memory-mapped files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from ..errors import TamingError
from .sample import Sample


class ArrayDataset:
    """Pictures (N, H, W, 3) uint8, or a list of (H, W, 3) of any sizes, with a label, caption or context each.

    Raises:
        TamingError: no pictures, arrays of another kind, or labels and captions that do not go with them.
    """

    def __init__(
        self,
        images: np.ndarray | Sequence[np.ndarray],
        labels: Sequence[int] | np.ndarray | None = None,
        captions: Sequence[str] | None = None,
        class_names: tuple[str, ...] = (),
        contexts: Sequence[np.ndarray] | None = None,
    ) -> None:
        self.images = images
        self.labels = None if labels is None else np.asarray(labels, np.int64)
        self.captions = None if captions is None else tuple(captions)
        self.contexts = None if contexts is None else tuple(contexts)
        self._class_names = class_names
        _check_images(images)
        for name, values in (("labels", self.labels), ("captions", self.captions), ("contexts", self.contexts)):
            if values is not None and len(values) != len(images):
                raise TamingError(f"There are {len(images)} pictures and {len(values)} {name}. Give one for each.")
        if self.labels is not None:
            _check_labels(self.labels, class_names)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        return Sample(
            image=np.asarray(self.images[index]),
            label=None if self.labels is None else int(self.labels[index]),
            caption=None if self.captions is None else self.captions[index],
            context=None if self.contexts is None else self.contexts[index],
        )

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the labels by number; empty without names."""
        return self._class_names

    @property
    def fingerprint(self) -> str:
        """A hash of all pixels, labels, captions, contexts and names."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        digest = hashlib.sha256(repr((self.captions, self._class_names)).encode("ascii", "backslashreplace"))
        digest.update(b"" if self.labels is None else self.labels.tobytes())
        for context in self.contexts or ():
            digest.update(repr(context.shape).encode())
            digest.update(np.ascontiguousarray(context).data)
        for image in self.images:
            digest.update(repr(image.shape).encode())
            digest.update(np.ascontiguousarray(image).data)
        return digest.hexdigest()


def _check_images(images: np.ndarray | Sequence[np.ndarray]) -> None:
    if not len(images):
        raise TamingError("There are no pictures in the data. Give at least one.")
    # One look at an array that may be a file of many gigabytes; a list is gone through.
    for number, image in enumerate(images[:1] if isinstance(images, np.ndarray) else images, start=1):
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
            raise TamingError(
                f"Picture {number} is an array {image.shape} of {image.dtype}. "
                "Give (height, width, 3) of uint8, 0 to 255."
            )


def _check_labels(labels: np.ndarray, class_names: tuple[str, ...]) -> None:
    end = len(class_names) or int(labels.max()) + 1
    if labels.min() < 0 or labels.max() >= end:
        raise TamingError(
            f"Labels run from {labels.min()} to {labels.max()}, and there are {len(class_names)} class names. "
            "Labels are numbers from 0, one for each name: add the missing names, or correct the labels."
        )
