"""WebDataset shards, for sets of more files than a folder holds well: tar files whose pictures are read in place."""

from __future__ import annotations

import glob
import tarfile
from collections.abc import Iterator
from pathlib import Path

from ..errors import TamingError
from ..user_text import user_path
from .image_cache import PictureCache
from .image_io import PICTURE_SUFFIXES, UNREADABLE_PICTURE, picture_size
from .image_lists import decode_text
from .images import MIN_PX, PictureFiles, check_usable
from .scan import PictureFile, Scan, Skipped, describe, escaped, natural_key, reason_against

_MAX_TEXT = 100_000  # bytes of a class or a caption; what is longer is neither


class PictureShards(PictureFiles):
    """The pictures in tar files as WebDataset lays them out, in the order that they have there.

    A sample is a picture and, of the same name, its class (`.cls`) and its caption (`.txt`). Any picture can be had at
    any time, so a run that goes on sees what it would have seen.

    Args:
        shards: path of a tar file; `*` in its last part stands for anything.
        labels: `none`, or `cls`; pictures without a class are skipped then.
        min_px: pictures with a shorter side are skipped.
        cache: keep pictures resized on disk; they then come at that size.

    Raises:
        TamingError: no such file, or no usable picture.
    """

    def __init__(
        self, shards: str | Path, labels: str = "none", min_px: int = MIN_PX, cache: PictureCache | None = None
    ) -> None:
        if labels not in ("none", "cls"):
            raise TamingError(f"Shards carry their labels: give labels as none or cls, not as {labels}.")
        pattern = user_path(shards)
        paths = [pattern.with_name(name) for name in sorted(_match_names(pattern), key=natural_key)]
        if not paths:
            raise TamingError(f"{pattern} is not a file on this machine. Give the path of a tar file.")
        found = [result for path in paths for result in _read_shard(path, labels == "cls", min_px)]
        scan = Scan(
            tuple(result for result in found if isinstance(result, PictureFile)),
            tuple(result for result in found if isinstance(result, Skipped)),
        )
        check_usable(scan, str(pattern), len(found))
        super().__init__(scan, cache)


def _match_names(pattern: Path) -> list[str]:
    """Names of the files that `pattern` stands for; signs of patterns other than * first stand for themselves."""
    literal = glob.escape(pattern.name).replace("[*]", "*")
    return glob.glob(literal, root_dir=pattern.parent) or glob.glob(pattern.name, root_dir=pattern.parent)


def _read_shard(shard: Path, has_labels: bool, min_px: int) -> Iterator[PictureFile | Skipped]:
    members: list[tarfile.TarInfo] = []
    try:
        status = shard.stat()
        with tarfile.open(shard, "r:") as tar:  # not a compressed one, in which nothing can be read in place
            try:
                members += (member for member in tar if member.offset_data + member.size <= status.st_size)
            except tarfile.TarError as error:  # cut or damaged: what comes before is good
                yield Skipped(shard.name, f"after {len(members)} files, {describe(error)}")
            for parts in _samples(members):
                yield _inspect(tar, shard, status.st_mtime_ns, parts, has_labels, min_px)
    except (tarfile.TarError, OSError) as error:
        yield Skipped(shard.name, describe(error))


def _samples(members: list[tarfile.TarInfo]) -> Iterator[dict[str, tarfile.TarInfo]]:
    """The files that share their name up to the first dot, by suffix; each picture as `picture` too."""
    groups: dict[str, dict[str, tarfile.TarInfo]] = {}
    for member in members:
        folder, _, name = member.name.rpartition("/")
        stem, _, kind = name.partition(".")
        if member.isreg():
            groups.setdefault(f"{folder}/{stem}", {})[f".{kind.lower()}"] = member
    for parts in groups.values():
        pictures = [kind for kind in parts if kind in PICTURE_SUFFIXES]
        if pictures:
            yield {**parts, "picture": parts[pictures[0]]}


def _inspect(
    tar: tarfile.TarFile,
    shard: Path,
    modified_ns: int,
    parts: dict[str, tarfile.TarInfo],
    has_labels: bool,
    min_px: int,
) -> PictureFile | Skipped:
    member = parts["picture"]
    name = escaped(f"{shard.name}/{member.name}")
    try:
        stream = tar.extractfile(member)
        assert stream is not None, "only regular files are samples"
        label = _text(tar, parts.get(".cls")) if has_labels else None
        reason = reason_against(picture_size(stream), min_px, has_labels and label is None)
        caption = _text(tar, parts.get(".txt"))
    except UNREADABLE_PICTURE as error:
        return Skipped(name, describe(error))
    if reason:
        return Skipped(name, reason)
    return PictureFile(shard, name, member.size, modified_ns, label, caption, member.offset_data)


def _text(tar: tarfile.TarFile, member: tarfile.TarInfo | None) -> str | None:
    stream = None if member is None or member.size > _MAX_TEXT else tar.extractfile(member)
    return None if stream is None else decode_text(stream.read()).strip() or None
