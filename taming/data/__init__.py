"""Data to train on: picture files, arrays, and procedural scenes that need no download; and how to vary it."""

from .arrays import ArrayDataset
from .augment import Augmentation, CenterCrop, ColorJitter, Compose, Flip, RandomCrop, RandomScale, ResizeShorter
from .cells import whole_cells
from .coco_boxes import BoxedPictures
from .concatenated import Concatenated
from .image_cache import PictureCache
from .images import PictureFolder, PictureList
from .maps import MappedPictures
from .open_images import open_pictures
from .sample import Dataset, Sample, SampleBox
from .scan import Skipped
from .scenes.canvas import SEGMENT_NAMES
from .scenes.class_objects import SceneBox
from .scenes.class_palettes import SCENE_CLASSES
from .scenes.class_scenes import Scene, render_scene
from .scenes.dataset import SceneDataset, render_dataset
from .scenes.painters import OBJECT_NAMES, THING_NAMES, ClassPainter, CompositionPainter, ScenePainter
from .shards import PictureShards
from .subset import Subset
from .swatches import SwatchDataset

__all__ = [
    "OBJECT_NAMES",
    "SCENE_CLASSES",
    "SEGMENT_NAMES",
    "THING_NAMES",
    "ArrayDataset",
    "Augmentation",
    "BoxedPictures",
    "CenterCrop",
    "ClassPainter",
    "ColorJitter",
    "Compose",
    "CompositionPainter",
    "Concatenated",
    "Dataset",
    "Flip",
    "MappedPictures",
    "PictureCache",
    "PictureFolder",
    "PictureList",
    "PictureShards",
    "RandomCrop",
    "RandomScale",
    "ResizeShorter",
    "Sample",
    "SampleBox",
    "Scene",
    "SceneBox",
    "SceneDataset",
    "ScenePainter",
    "Skipped",
    "Subset",
    "SwatchDataset",
    "open_pictures",
    "render_dataset",
    "render_scene",
    "whole_cells",
]
