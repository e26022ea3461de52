"""Scenes kept on disk: with the maps and boxes of their pictures, and never those of another seed."""

import pytest

from taming.data import (
    OBJECT_NAMES,
    SCENE_CLASSES,
    ClassPainter,
    CompositionPainter,
    SceneDataset,
    render_dataset,
    render_scene,
)
from taming.data.scenes.class_objects import INHABITANTS
from taming.errors import TamingError


def test_scenes_from_disk_come_with_the_maps_and_boxes_of_their_pictures(tmp_path):
    painter = ClassPainter(32, first_seed=40, num_objects=3)
    render_dataset(tmp_path, painter, 14)
    data = SceneDataset(tmp_path, painter, has_maps=True)
    assert len(data) == 14 and data.class_names == SCENE_CLASSES
    num_boxes = 0
    for index, sample in enumerate(data):
        scene = render_scene(index % len(SCENE_CLASSES), 40 + index, 32, num_objects=3)
        assert sample.label == scene.label
        assert (sample.image == scene.image).all()
        assert (sample.segmentation == scene.segmentation).all() and (sample.depth == 1 - scene.depth).all()
        for box, known in zip(sample.boxes, scene.boxes, strict=True):
            assert OBJECT_NAMES[box.label] == known.name
            assert (box.x, box.y) == (known.x0, known.y0)
            assert (box.x + box.width, box.y + box.height) == pytest.approx((known.x1, known.y1))
            num_boxes += 1
    assert num_boxes
    plain = SceneDataset(tmp_path, painter)[5]
    assert (plain.image == data[5].image).all() and plain.segmentation is None and plain.boxes == ()


def test_scenes_of_another_seed_or_number_of_objects_are_not_taken_for_their_own(tmp_path):
    painter = ClassPainter(32, first_seed=40)
    render_dataset(tmp_path, painter, 13)
    SceneDataset(tmp_path, painter)
    for other in (ClassPainter(32), ClassPainter(32, 40, num_objects=4), CompositionPainter(32, 40)):
        with pytest.raises(TamingError, match="not those of"):
            SceneDataset(tmp_path, other)
    with pytest.raises(TamingError, match="render_dataset"):
        SceneDataset(tmp_path / "none", painter)


def test_every_object_of_a_scene_has_a_label():
    assert set(OBJECT_NAMES) == {name for names in INHABITANTS.values() for name in names}
