"""Which workflows ship, by the names that they are listed and found by: what runs at once comes first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from . import embedded, published
from .graph import Graph


@dataclass(frozen=True)
class Template:
    """A shipped workflow. The editor sorts, shows and searches the names of files, and nothing else of them."""

    name: str
    build: Callable[[Graph], None]
    is_app: bool = False


TEMPLATES = (
    Template("01 Draw a landscape (Taming VQGAN)", embedded.draw),
    Template("02 Inpaint a photo (Taming VQGAN)", embedded.inpaint),
    Template("03 Outpaint a panorama (Taming VQGAN)", embedded.outpaint),
    Template("04 Complete a photo (Taming VQGAN)", embedded.complete),
    Template("05 Vary an image (Taming VQGAN)", embedded.vary),
    Template("06 Draw from boxes (Taming VQGAN)", embedded.draw_from_boxes),
    Template("07 Reconstruct an image (Taming VQGAN)", embedded.reconstruct),
    Template("08 Train on your own pictures (Taming VQGAN)", embedded.train),
    Template("11 App, Draw (Taming VQGAN)", embedded.draw, is_app=True),
    Template("12 App, Fill in (Taming VQGAN)", embedded.inpaint, is_app=True),
    Template("13 App, Panorama (Taming VQGAN)", embedded.outpaint, is_app=True),
    Template("21 Reconstruct with LlamaGen (VQGAN, 288 MB download)", published.llamagen),
    Template("22 Reconstruct with IBQ (VQGAN, 888 MB download)", published.ibq),
    Template("23 Draw an ImageNet class (Taming VQGAN, download)", published.imagenet_class),
    Template("24 Draw a face (Taming VQGAN, download)", published.face),
    Template("25 Draw from a map of labels (Taming VQGAN, download)", published.map_of_labels),
    Template("26 Draw from depth (Taming VQGAN, download)", published.depth),
    Template("27 Draw from boxes of things (Taming VQGAN, download)", published.boxes),
)
