"""Pictures with a map each: label images or depth, from a folder beside them."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from ..errors import TamingError
from ..user_text import user_path
from .image_contents import Content, contents_hash
from .image_io import UNREADABLE_PICTURE
from .images import PictureFiles
from .sample import Sample

MapKind = Literal["segmentation", "depth"]
SUFFIXES = (".png", ".tif", ".tiff", ".webp")  # that keep every value

_log = logging.getLogger(__name__)


class MappedPictures:
    """`pictures` with the maps in `folder`: the same names and folders in it, such as `cats/7.png` for `cats/7.jpg`.

    A segmentation is a gray or palette image whose values are the labels; depth is gray of 8 or 16 bits, or float,
    near = white. A map of another size is scaled to its picture. Pictures without a map are left out.

    Raises:
        TamingError: no folder, or no picture has a map.
    """

    def __init__(self, pictures: PictureFiles, folder: str | Path, kind: MapKind) -> None:
        folder = user_path(folder)
        if not folder.is_dir():
            raise TamingError(f"{folder} is not a folder. Give the folder that the maps are in.")
        there = {path.relative_to(folder).with_suffix("").as_posix(): path for path in sorted(folder.rglob("*"))}
        there = {stem: path for stem, path in there.items() if path.suffix.lower() in SUFFIXES}
        self._pictures, self._folder, self._kind, self._maps = pictures, folder, kind, there
        self._numbers = [number for number, name in enumerate(pictures.names) if _stem(name) in there]
        left_out = len(pictures) - len(self._numbers)
        if not self._numbers:
            raise TamingError(
                f"None of the {len(pictures)} pictures has a map in {folder}; the first would be "
                f"{_stem(pictures.names[0])}.png. Give maps the names of their pictures."
            )
        if left_out:
            _log.warning("%s: %d pictures have no map and are left out.", folder, left_out)

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: int) -> Sample:
        """The picture and its map.

        Raises: TamingError if the map cannot be read, or is none.
        """
        sample = self._pictures[self._numbers[index]]
        path = self._maps.get(_stem(sample.file or ""))
        if path is None:
            raise TamingError(f"{sample.file} took the place of a broken picture and has no map in {self._folder}.")
        return replace(sample, **{self._kind: self._read(path, sample.image.shape[1::-1])})

    @property
    def class_names(self) -> tuple[str, ...]:
        """Those of the pictures."""
        return self._pictures.class_names

    @property
    def fingerprint(self) -> str:
        """A hash of the pictures' own, and of names, sizes and modification times of the maps."""
        digest = hashlib.sha256(f"{self._pictures.fingerprint} {self._kind}".encode())
        for stem, path in self._maps.items():
            status = path.stat()
            digest.update(f"{stem} {status.st_size} {status.st_mtime_ns}".encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    def contents_hash(self, check: Callable[[], None] = lambda: None) -> str:
        """A hash of what the pictures and the maps hold, as `PictureFiles.contents_hash`."""
        maps = [Content(path, path.stat().st_size) for _, path in sorted(self._maps.items())]
        return contents_hash(maps, check, [self._pictures.contents_hash(check), self._kind, self._numbers])

    def _read(self, path: Path, size: tuple[int, int]) -> np.ndarray:
        try:
            with Image.open(path) as image:
                is_labels = self._kind == "segmentation"
                if image.mode not in ("L", "P", "1") if is_labels else len(image.getbands()) > 1:
                    raise TamingError(
                        f"{path.name} is of mode {image.mode}. A map has one value for each pixel: "
                        f"{'labels, 0 to 255, gray or by palette' if is_labels else 'gray, near = white'}."
                    )
                if is_labels:
                    values = image.resize(size, Image.Resampling.NEAREST) if image.size != size else image
                    return np.array(values, np.uint8)
                return np.asarray(image.convert("F").resize(size, Image.Resampling.BILINEAR), np.float32)
        except UNREADABLE_PICTURE as error:
            raise TamingError(f"The map {path} cannot be read: {error}. Make it again, or remove it.") from error


def _stem(name: str) -> str:
    return Path(name).with_suffix("").as_posix()
