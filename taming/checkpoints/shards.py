"""Models that are stored in several files, of which this library reads none: what to say of a part."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import UnsupportedCheckpointError

PART = re.compile(r"-(\d{5})-of-(\d{5})$")  # at the end of the stem, as transformers and diffusers name them


@contextmanager
def explaining_parts(path: Path) -> Iterator[None]:
    """Let an error about what the weights at `path` lack say that it is elsewhere, if they are a part of a model."""
    try:
        yield
    except UnsupportedCheckpointError as error:
        part = PART.search(path.stem)
        if part is None or int(part[2]) < 2:
            raise
        raise UnsupportedCheckpointError(
            f"{path.name} is part {int(part[1])} of {int(part[2])} of a model, and no whole VQGAN or transformer is in "
            "it. Save the model as one file: model.save_pretrained(folder, max_shard_size='100GB')."
        ) from error
