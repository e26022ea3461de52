"""The data of a recipe: pictures with their maps or boxes, and scenes beside them."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from taming.data import OBJECT_NAMES, ArrayDataset, Concatenated
from taming.errors import ConfigError
from taming.training.datasets import open_data
from taming.training.recipe import DataSettings, Optimizer, Phase, Recipe

SIZE_PX = 32
COUNTS = {"size_px": SIZE_PX, "count": 5, "held_out": 3}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Twenty pictures whose gray is their number, each with a map of that label."""
    for folder in ("pictures", "maps"):
        (tmp_path / folder).mkdir()
    for number in range(20):
        Image.new("RGB", (40, 32), (number,) * 3).save(tmp_path / "pictures" / f"{number:02}.png")
        Image.new("L", (40, 32), number).save(tmp_path / "maps" / f"{number:02}.png")
    return tmp_path / "pictures"


def test_concatenated_data_are_all_of_the_parts_in_order_without_labels():
    parts = [
        ArrayDataset(np.full((n, 4, 4, 3), n, np.uint8), labels=range(n), class_names=("a", "b", "c")) for n in (1, 3)
    ]
    both = Concatenated(parts)
    assert [sample.image[0, 0, 0] for sample in both] == [1, 3, 3, 3]
    assert both.class_names == () and all(sample.label is None for sample in both)
    assert both[-1].image[0, 0, 0] == 3
    assert both.fingerprint != Concatenated(parts[::-1]).fingerprint
    with pytest.raises(IndexError):
        both[4]


def test_scenes_stand_beside_the_pictures_of_a_folder(pictures, tmp_path):
    settings = DataSettings(folder=str(pictures), with_scenes=True, num_objects=1, **COUNTS)
    data = open_data(settings, tmp_path / "cache")
    assert len(data.training) == 18 + 5 and len(data.held_out) == 2 + 3
    assert data.training[0].image.max() < 20 < data.training[20].image.max()


def test_every_picture_has_its_map_also_from_the_cache(pictures, tmp_path):
    settings = DataSettings(folder=str(pictures), maps=str(pictures.parent / "maps"), **COUNTS)
    for _ in range(2):
        data = open_data(settings, tmp_path / "cache")
        assert len(data.training) == 18
        for part in (data.training, data.held_out):
            assert all((sample.segmentation == sample.image[..., 0]).all() for sample in part)


def test_boxes_come_with_their_names(pictures, tmp_path):
    document = {
        "images": [{"id": n, "file_name": f"{n:02}.png", "width": 40, "height": 32} for n in range(20)],
        "annotations": [{"image_id": n, "category_id": 1, "bbox": [n, 0, 8, 16]} for n in range(20)],
        "categories": [{"id": 1, "name": "dot"}],
    }
    (tmp_path / "boxes.json").write_text(json.dumps(document))
    data = open_data(
        DataSettings(folder=str(pictures), boxes=str(tmp_path / "boxes.json"), **COUNTS), tmp_path / "cache"
    )
    assert data.box_names == ("dot",)
    assert all(sample.boxes[0].x * 40 == pytest.approx(sample.image[0, 0, 0]) for sample in data.training)
    assert open_data(DataSettings(has_maps=True, num_objects=1, **COUNTS), tmp_path / "cache").box_names == OBJECT_NAMES


def test_maps_and_boxes_at_once_are_refused():
    with pytest.raises(ConfigError, match="maps and boxes"):
        Recipe("vqgan", Optimizer(1e-3), (Phase(1, 1),), {}, data=DataSettings(folder="a", maps="b", boxes="c"))


@pytest.mark.parametrize("source", ["pictures", "scenes"])
def test_opening_can_be_stopped_and_done_again(source, pictures, tmp_path):
    class Stopped(BaseException):
        pass

    def stop() -> None:
        raise Stopped

    settings = DataSettings(folder=str(pictures) if source == "pictures" else "", **COUNTS)
    for num_workers in (1, 2) if source == "scenes" else (1,):
        with pytest.raises(Stopped):
            open_data(settings, tmp_path / "cache", num_workers, check=stop)
    assert len(open_data(settings, tmp_path / "cache").held_out) in (2, 3)
