"""Several data sets as one."""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

from .sample import Dataset, Sample


class Concatenated:
    """The samples of all `parts`, one part after the other, without their labels: a number means another class in each.

    There must be at least one part.
    """

    class_names: tuple[str, ...] = ()

    def __init__(self, parts: Sequence[Dataset]) -> None:
        self._parts = list(parts)
        self._ends = list(accumulate(len(part) for part in parts))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> Sample:
        index = range(len(self))[index]
        number = bisect_right(self._ends, index)
        start = self._ends[number] - len(self._parts[number])
        return replace(self._parts[number][index - start], label=None)

    @property
    def fingerprint(self) -> str:
        """A hash of the parts' own."""
        return hashlib.sha256(json.dumps([part.fingerprint for part in self._parts]).encode()).hexdigest()
