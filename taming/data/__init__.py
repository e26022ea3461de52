"""Data that needs no download: procedural landscape scenes with known labels, segments, depth and boxes."""

from .scene_canvas import SEGMENT_NAMES
from .scene_dataset import render_dataset
from .scene_objects import SceneBox
from .scene_palettes import SCENE_CLASSES
from .scenes import Scene, render_scene

__all__ = ["SCENE_CLASSES", "SEGMENT_NAMES", "Scene", "SceneBox", "render_dataset", "render_scene"]
