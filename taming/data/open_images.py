"""Pictures by one name: of a folder, of a list, or of shards; and a list of those that are of no use."""

from __future__ import annotations

import logging
from pathlib import Path

from ..user_text import user_path
from .image_cache import PictureCache
from .images import MIN_PX, PictureFiles, PictureFolder, PictureList
from .shards import PictureShards

LEFT_OUT_FILE = "left_out.txt"

_log = logging.getLogger(__name__)


def open_pictures(
    source: str | Path, labels: str = "none", min_px: int = MIN_PX, cache: PictureCache | None = None
) -> PictureFiles:
    """The pictures of `source`: a folder, a list of paths (.txt), or WebDataset shards (.tar, `*` for many).

    Where there is a cache, the file left_out.txt in it then names every picture that is not used, and why.

    Raises: TamingError if there is no usable picture.
    """
    path = user_path(source)
    kinds = {".txt": PictureList, ".tar": PictureShards}
    kind = PictureFolder if path.is_dir() else kinds.get(path.suffix.lower(), PictureFolder)
    pictures = kind(path, labels, min_px, cache)
    left_out = (*pictures.skipped, *pictures.broken)
    if cache is not None and left_out:
        file = Path(cache.folder) / LEFT_OUT_FILE
        file.write_text("".join(f"{entry.path}: {entry.reason}\n" for entry in left_out), encoding="utf-8")
        _log.warning("%d things of %s are left out; %s names each.", len(left_out), source, file)
    return pictures
