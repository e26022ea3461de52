"""Pictures with boxes of objects, from annotations in the format of COCO."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ..errors import TamingError
from ..user_text import user_path
from .images import PictureFiles
from .labels import plain_name
from .sample import Sample, SampleBox

_log = logging.getLogger(__name__)


class BoxedPictures:
    """`pictures` with the boxes that the JSON file `annotations` (COCO's `instances_*.json`) has for them.

    Pictures are known by their `file_name`, relative to the folder. Those that the file does not list are left out;
    one that it lists without a box has none. `box_names` are its categories, in the order of their ids.

    Raises:
        TamingError: the file cannot be read, is not of that form, or lists none of the pictures.
    """

    def __init__(self, pictures: PictureFiles, annotations: str | Path) -> None:
        path = user_path(annotations)
        try:
            text = path.read_bytes()
            layouts, self.box_names = _read(json.loads(text))
        except OSError as error:
            raise TamingError(f"The annotations {path} cannot be read: {error}.") from error
        except (ValueError, LookupError, TypeError, AttributeError, ZeroDivisionError) as error:
            raise TamingError(
                f"{path.name} is not in the format of COCO ({type(error).__name__}: {error}). It has the lists images "
                "(id, file_name, width, height), annotations (image_id, category_id, bbox) and categories (id, name)."
            ) from error
        plain = {plain_name(name): layout for name, layout in layouts.items()} | layouts
        names = {name: name if name in plain else plain_name(name) for name in pictures.names}
        self._pictures = pictures
        self._layouts = {name: plain[written] for name, written in names.items() if written in plain}
        self._numbers = [number for number, name in enumerate(pictures.names) if name in self._layouts]
        if not self._numbers:
            raise TamingError(
                f"{path.name} lists none of the {len(pictures)} pictures: they are called {pictures.names[0]}, and "
                f"there {next(iter(layouts), 'nothing')}. Give names relative to the folder of pictures."
            )
        if len(self._numbers) < len(pictures):
            _log.warning("%s: %d pictures not listed are left out.", path.name, len(pictures) - len(self._numbers))
        self._hash = hashlib.sha256(text).hexdigest()

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: int) -> Sample:
        sample = self._pictures[self._numbers[index]]
        return replace(sample, boxes=self._layouts.get(sample.file or "", ()))

    @property
    def class_names(self) -> tuple[str, ...]:
        """Those of the pictures, not of the boxes."""
        return self._pictures.class_names

    @property
    def fingerprint(self) -> str:
        """A hash of the pictures' own and of the annotations."""
        return hashlib.sha256(f"{self._pictures.fingerprint} {self._hash}".encode()).hexdigest()

    def contents_hash(self, check: Callable[[], None] = lambda: None) -> str:
        """A hash of what the pictures and the annotations hold, as `PictureFiles.contents_hash`."""
        return hashlib.sha256(f"{self._pictures.contents_hash(check)} {self._hash}".encode()).hexdigest()


def _read(document: dict) -> tuple[dict[str, tuple[SampleBox, ...]], tuple[str, ...]]:
    """Boxes by file name, and the names of their labels."""
    categories = sorted(document["categories"], key=lambda category: category["id"])
    labels = {category["id"]: label for label, category in enumerate(categories)}
    boxes: dict[int, list[SampleBox]] = defaultdict(list)
    sizes = {image["id"]: (image["width"], image["height"]) for image in document["images"]}
    for annotation in document["annotations"]:
        width, height = sizes[annotation["image_id"]]
        x, y, box_width, box_height = annotation["bbox"]
        left, top = max(0.0, x), max(0.0, y)
        right, bottom = min(float(width), x + box_width), min(float(height), y + box_height)
        if right > left and bottom > top:  # annotators leave boxes of no size
            box = SampleBox(
                labels[annotation["category_id"]],
                left / width,
                top / height,
                (right - left) / width,
                (bottom - top) / height,
            )
            boxes[annotation["image_id"]].append(box)
    layouts = {image["file_name"]: tuple(boxes[image["id"]]) for image in document["images"]}
    return layouts, tuple(str(category["name"]) for category in categories)
