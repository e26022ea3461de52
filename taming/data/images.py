"""Picture files as training data: a folder, or a list of paths."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np

from ..errors import TamingError
from ..user_text import user_path
from .image_cache import PictureCache, StoredPictures, stored_pictures
from .image_contents import Content, contents_hash
from .image_io import PICTURE_SUFFIXES, UNREADABLE_PICTURE, decode_picture
from .image_lists import read_list
from .labels import folder_labels, table_labels
from .sample import Sample
from .scan import PictureFile, Scan, Skipped, describe, find_pictures, natural_key, scan_pictures

MIN_PX = 32  # on the shorter side; what is smaller is icons and thumbnails

_log = logging.getLogger(__name__)


class PictureFiles:
    """Usable pictures of a scan, with captions from text files of the same name beside them.

    A file that breaks after the scan is replaced by the next one that can be read, and noted in `broken`.
    """

    skipped: tuple[Skipped, ...]  # what the scan left out, and captions and table rows that are of no use

    def __init__(self, scan: Scan, cache: PictureCache | None) -> None:
        self.skipped = scan.skipped
        self._files = scan.files
        self._class_names = tuple(
            sorted({file.label for file in scan.files if file.label is not None}, key=natural_key)
        )
        self._numbers = {name: number for number, name in enumerate(self._class_names)}
        self._broken: dict[str, str] = {}
        self._lock = threading.Lock()
        self._stored: StoredPictures | None = None
        if cache is not None:
            self._stored = stored_pictures(cache, self.fingerprint, len(self), self._decode, lambda: dict(self._broken))
            self._broken.update(self._stored.notes)

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> Sample:
        index = range(len(self))[index]
        image, source = self._decode(index) if self._stored is None else self._stored[index]
        file = self._files[source]
        label = None if file.label is None else self._numbers[file.label]
        return Sample(image, label, file.caption, file=file.name)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the files, below their folder, in order."""
        return tuple(file.name for file in self._files)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Labels of the usable pictures in natural order; empty without labels."""
        return self._class_names

    @property
    def broken(self) -> tuple[Skipped, ...]:
        """Files that could not be read when they were needed, so far."""
        with self._lock:
            return tuple(Skipped(name, reason) for name, reason in sorted(self._broken.items()))

    @property
    def fingerprint(self) -> str:
        """A hash of names, sizes, modification times, labels and captions; moving the whole folder keeps it."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        digest = hashlib.sha256()
        for file in self._files:
            row = [file.name, file.num_bytes, file.modified_ns, file.label, file.caption]
            digest.update(json.dumps(row).encode())
        return digest.hexdigest()

    def contents_hash(self, check: Callable[[], None] = lambda: None) -> str:
        """A hash of what the files hold, in order, with labels and captions: moved or copied, they keep it.

        It reads the files. `check` is called again and again meanwhile; what it raises ends that.
        """
        files = [Content(file.path, file.num_bytes, file.offset or 0) for file in self._files]
        return contents_hash(files, check, [(file.label, file.caption) for file in self._files])

    def _decode(self, index: int) -> tuple[np.ndarray, int]:
        """Pixels of picture `index` and its own number, or those of the first readable one after it."""
        for source in (*range(index, len(self)), *range(index)):
            file = self._files[source]
            try:
                return decode_picture(file.open()), source
            except UNREADABLE_PICTURE as error:
                self._note_broken(file, describe(error))
        raise TamingError(
            f"None of the {len(self)} pictures can be read any more; {self._files[index].name}: "
            f"{self._broken[self._files[index].name]}. Is the drive still there?"
        )

    def _note_broken(self, file: PictureFile, reason: str) -> None:
        with self._lock:
            is_new = file.name not in self._broken
            self._broken[file.name] = reason
        if is_new:
            _log.warning("%s: %s. The next picture takes its place.", file.name, reason)


class PictureFolder(PictureFiles):
    """All pictures in a folder and the folders in it, in natural order.

    Args:
        labels: `none`; `folders` for the names of the folders directly in `folder`; or the path of a CSV table with
            the columns file (below `folder`) and label. Pictures without a label are skipped, except with `none`.
        min_px: pictures with a shorter side are skipped.
        cache: keep pictures resized on disk; they then come at that size.

    Raises:
        TamingError: no folder, no usable picture, or a table that cannot be read.
    """

    def __init__(
        self,
        folder: str | Path,
        labels: str | Path = "none",
        min_px: int = MIN_PX,
        cache: PictureCache | None = None,
    ) -> None:
        folder = user_path(folder)
        if not folder.is_dir():
            raise TamingError(f"{folder} is not a folder. Give the folder that the pictures are in.")
        paths, unreachable = find_pictures(folder)
        if labels == "none":
            table, amiss = None, []
        elif labels == "folders":
            table, amiss = folder_labels(paths, folder), []
        else:
            table, amiss = table_labels(user_path(labels), paths, folder)
        scan = scan_pictures(paths, folder, min_px, table)
        scan = Scan(scan.files, (*scan.skipped, *unreachable, *amiss))
        check_usable(scan, str(folder), len(paths), labels == "folders")
        super().__init__(scan, cache)


class PictureList(PictureFiles):
    """The pictures that a text file names, one path per line, relative to it or absolute, in that order.

    Lines that begin with # are comments. A path may stand in quotes, begin with `~` or have backslashes.

    Args:
        labels: `none`, or `folders` for the name of the folder that each picture is in.
        min_px: pictures with a shorter side are skipped.
        cache: keep pictures resized on disk; they then come at that size.

    Raises:
        TamingError: the file cannot be read, or no picture is usable.
    """

    def __init__(
        self, file: str | Path, labels: str = "none", min_px: int = MIN_PX, cache: PictureCache | None = None
    ) -> None:
        file = user_path(file)
        if labels not in ("none", "folders"):
            raise TamingError(
                f"A list of pictures has labels none or folders, and not {labels}. A table of labels is a list "
                "itself: give it with the folder that the pictures are in, and it picks those that it names."
            )
        paths = read_list(file)
        table = {path: path.parent.name for path in paths} if labels == "folders" else None
        scan = scan_pictures(paths, file.parent, min_px, table)
        check_usable(scan, str(file), len(paths))
        super().__init__(scan, cache)


def check_usable(scan: Scan, source: str, num_found: int, is_labeled_by_folder: bool = False) -> None:
    """Log what was left out; raise TamingError if nothing is left."""
    first = "; ".join(f"{skipped.path}: {skipped.reason}" for skipped in scan.skipped[:3])
    if scan.files:
        if scan.skipped:
            _log.warning(
                "%s: %d pictures, %d things amiss; first: %s.", source, len(scan.files), len(scan.skipped), first
            )
        return
    if not num_found and not scan.skipped:
        kinds = " ".join(suffix[1:] for suffix in PICTURE_SUFFIXES)
        raise TamingError(f"{source} holds no pictures ({kinds}). Put some there, or give another place.")
    advice = " Put each class into a folder of its own, or train without labels." if is_labeled_by_folder else ""
    raise TamingError(f"None of the {num_found} pictures of {source} can be used. {first}.{advice}")
