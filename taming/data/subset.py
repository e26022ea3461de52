"""Part of a data set."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from .sample import Dataset, Sample


class Subset:
    """The samples of `dataset` at `indices`, in that order."""

    def __init__(self, dataset: Dataset, indices: Sequence[int]) -> None:
        self._dataset, self._indices = dataset, list(indices)

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> Sample:
        return self._dataset[self._indices[index]]

    @property
    def class_names(self) -> tuple[str, ...]:
        """Those of the whole."""
        return self._dataset.class_names

    @property
    def fingerprint(self) -> str:
        """A hash of the whole and of what was taken."""
        told = json.dumps([self._dataset.fingerprint, self._indices])
        return hashlib.sha256(told.encode()).hexdigest()
